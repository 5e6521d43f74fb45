//go:build !windows

package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"knockd/internal/config"
	"knockd/internal/fwknop"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

var (
	testTime = time.Unix(1795330800, 0)
	testAddr = netip.MustParseAddr("10.1.2.3")
)

// tryHome calls the command in this process with a home directory.
func tryHome(home string, args ...string) result {
	var stdout, stderr bytes.Buffer
	env := map[string]string{"HOME": home, "LOGNAME": "tester"}
	code := run(context.Background(), args, system{strings.NewReader(""), &stdout, &stderr, func(k string) string { return env[k] }})
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// TestSPAErrors: what is wrong and what to do. No key is repeated.
func TestSPAErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one", "KEY secret-one\nHMAC_KEY secret-two\n")
	two := write("two", "[a]\nKEY secret-one\nHMAC_KEY secret-two\n[b]\nKEY secret-three\nHMAC_KEY secret-two\n")
	bad := write("bad", "KEY secret-one\nKEYS secret-two\n")
	write(".fwknoprc", "[gpg]\nSPA_SERVER 192.0.2.1\nUSE_GPG Y\n[equal]\nKEY secret-one\nHMAC_KEY secret-one\nACCESS tcp/22\n[nothing]\nKEY a\n[resolve]\nKEY a\nACCESS tcp/22\nALLOW_IP resolve\nRESOLVE_URL http://192.0.2.1/ip\nSPA_SERVER 127.0.0.1\n"+
		"[forged]\nSPA_SERVER_PROTO udpraw\nSPOOF_SOURCE_IP 192.0.2.5\nKEY secret-one\nACCESS tcp/22\n")
	for args, want := range map[string]string{
		"spa": "1 " + spaUsage,
		"spa 192.0.2.9": "1 knock: no keys for 192.0.2.9\n" +
			"knock: hint: write a section [192.0.2.9] with spa_key_file into DIR/.config/knock/config, name --key-file, or copy a stanza of .fwknoprc\n",
		"spa a b":                                                     "1 knock: spa takes one host\nknock: hint: write: knock spa [options] HOST; what to ask for goes behind -A\n",
		"spa -A 22 192.0.2.1":                                         "1 knock: --access 22: port: must be written tcp/N or udp/N\n",
		"spa -a nowhere 192.0.2.1":                                    "1 knock: --allow-ip nowhere: must be an address, source or resolve\n",
		"spa -f 99999 192.0.2.1":                                      "1 knock: --fw-timeout 99999: must be a number of seconds from 0 to 65536\n",
		"spa -P sctp 192.0.2.1":                                       "1 knock: --server-proto sctp: must be udp, tcp, http, udpraw, tcpraw or icmp\n",
		"spa --digest crc 192.0.2.1":                                  "1 knock: --digest crc: must be one of " + spa.HashNames + "\n",
		"spa --key-file ONE 192.0.2.1":                                "1 knock: nothing to ask for\nknock: hint: name the ports: -A tcp/22, spa_access in the profile, or ACCESS in .fwknoprc\n",
		"spa --key-file TWO -A tcp/1 192.0.2.1":                       "1 knock: DIR/two has the keys of several clients\nknock: hint: choose one with --key-client or spa_client\n",
		"spa --key-file TWO --key-client c -A tcp/1 192.0.2.1":        "1 knock: DIR/two has no client c\nknock: hint: write its section, or name another\n",
		"spa --key-file BAD 192.0.2.1":                                "1 knock: DIR/bad:2: unknown name; known are KEY, KEY_BASE64, HMAC_KEY, HMAC_KEY_BASE64, HMAC_DIGEST_TYPE, ENCRYPTION_MODE\nknock: hint: correct the file; knock keygen writes such files\n",
		"spa --key-file ONE -A tcp/1 -6 2001:db8::1":                  "2 knock: knock at 2001:db8::1: servers of fwknop know IPv4 alone\nknock: hint: " + spaFamilyHint + "\n",
		"spa --key-file ONE -A tcp/1 2001:db8::1":                     "2 knock: 2001:db8::1 is not an IPv4 address\nknock: hint: " + spaFamilyHint + "\n",
		"spa --key-file ONE -A tcp/1 -P icmp -6 --ipv6-extension ::1": "2 knock: knock at ::1: transport icmp over IPv6 is not supported\nknock: hint: use udp, tcp, http, tcpraw, or over IPv4 icmp\n",
		"spa forged": "1 knock: SPOOF_SOURCE_IP 192.0.2.5: no packet is sent in another's name\n" +
			"knock: hint: take SPOOF_SOURCE_IP out of .fwknoprc; -a names the address to open for, whoever sends the packet\n",
		"spa --time-offset 5y 192.0.2.1":                           "1 knock: --time-offset 5y: must be seconds or a time such as 1m30s, - before it for the past\n",
		"spa --key-file ONE -A tcp/1,tcp/2 --nat-port 5 127.0.0.1": "2 knock: an outer port for NAT goes with one port\n",
		"spa -n gpg":                   "1 knock: DIR/.fwknoprc:3: USE_GPG: GPG is not supported\nknock: hint: correct the file, or name a stanza with -n\n",
		"spa -n none x":                "1 knock: DIR/.fwknoprc: has no stanza [none]\nknock: hint: correct the file, or name a stanza with -n\n",
		"spa equal":                    "1 knock: the keys for encryption and HMAC are equal\nknock: hint: correct the keys; knock keygen makes new ones\n",
		"spa nothing":                  "1 knock: nothing to ask for\nknock: hint: name the ports: -A tcp/22, spa_access in the profile, or ACCESS in .fwknoprc\n",
		"spa -n nothing -A tcp/1":      "1 knock: no host to send to\nknock: hint: name a host, or write SPA_SERVER into the stanza\n",
		"spa resolve":                  "2 knock: ask http://192.0.2.1/ip for the outside address: must be an https:// URL\nknock: hint: name the address with -a, let the server see it with -s, or ask another with --resolve-url or --stun\n",
		"spa --rc-file NONE 192.0.2.1": "1 knock: open DIR/none: no such file or directory\n",
		"keygen x":                     "1 knock: keygen takes no words but options\nknock: hint: write: knock keygen --server HOST\n",
		"keygen --client a/b":          "1 knock: the client's name must be of letters, digits, and ._-\nknock: hint: choose another --client\n",
		"keygen --profile a/b":         "1 knock: the name must be of letters, digits, and ._-\nknock: hint: choose another --profile\n",
		"keygen --hmac x":              "1 knock: --hmac x: must be one of " + spa.HashNames + "\n",
	} {
		line := strings.NewReplacer("ONE", one, "TWO", two, "BAD", bad, "NONE", filepath.Join(dir, "none")).Replace(args)
		got := tryHome(dir, strings.Fields(line)...)
		text := strings.ReplaceAll(string(rune('0'+got.code))+" "+got.stderr+got.stdout, dir, "DIR")
		if text != want {
			t.Errorf("knock %s:\n%s\nwant:\n%s", args, text, want)
		}
		if strings.Contains(text, "secret") {
			t.Errorf("knock %s: a key is repeated", args)
		}
	}
}

// TestKeygen reads every part of what is printed with its own reader: they fit
// together.
func TestKeygen(t *testing.T) {
	for _, hmac := range []string{"sha256", "sha512", "md5"} {
		got := tryHome("/nonexistent", "keygen", "--server", "host.example.net", "--client", "laptop", "-A", "udp/53, tcp/443", "--hmac", hmac, "--qr")
		if got.code != 0 || got.stderr != "" {
			t.Fatalf("%+v", got)
		}
		parts := strings.Split(got.stdout, "\n\n")
		server, err := spa.ParseKeys("keys", []byte(parts[0]), spa.SHA256)
		if err != nil || server[0].Name != "laptop" {
			t.Fatalf("%v, %v", server, err)
		}
		c, err := config.Parse("conf", []byte(parts[1]))
		if err != nil || c.Doors[0].Name != "host.example.net" || c.Doors[0].SPA.KeyFile != "/etc/knockd/host.example.net.keys" || len(c.Doors[0].Open) != 2 || !c.Doors[0].SPA.RequireSource {
			t.Errorf("the door: %+v, %v", c, err)
		}
		mine, err := spa.ParseKeys("keys", []byte(parts[2]), spa.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		conf, err := profile.Parse("config", []byte(parts[3]))
		if err != nil {
			t.Fatal(err)
		}
		p, ok := conf.Find("host.example.net")
		if !ok || p.SPAKeyFile != "host.example.net.keys" || p.Host != "host.example.net" || len(p.SPA.Access) != 2 || p.Wait != 443 {
			t.Errorf("the profile: %+v", p)
		}
		rc, err := fwknop.ParseRC("rc", []byte(parts[4]))
		if err != nil {
			t.Fatal(err)
		}
		old, err := rc.Profile("host.example.net")
		if err != nil {
			t.Fatal(err)
		}
		for i, client := range []spa.Client{mine[0], old.Client} {
			m, err := p.SPA.Message(testTime, testAddr)
			if err != nil {
				t.Fatal(err)
			}
			packet, err := spa.Seal(m, client, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := spa.Open(packet, server[0]); err != nil {
				t.Errorf("%s: keys of part %d: %v", hmac, i, err)
			}
		}
		if qr := strings.Contains(got.stdout, "Fwknop2"); qr != (hmac == "sha256") {
			t.Errorf("%s: QR code: %v", hmac, qr)
		}
	}
	if a, b := tryHome("", "keygen"), tryHome("", "keygen"); a.stdout == b.stdout || strings.Contains(a.stdout, "Fwknop2") {
		t.Error("the same keys twice, or a QR code without a terminal")
	}
}

// TestQR reads the drawing back, module by module.
func TestQR(t *testing.T) {
	const text = "KEY_BASE64:YWJj HMAC_KEY_BASE64:ZGVm"
	got, err := qrText(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if want := (code.Size + 2*quietZone + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for i, line := range lines {
		row := []rune(strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m"))
		if len(row) != code.Size+2*quietZone {
			t.Fatalf("line %d has %d characters", i, len(row))
		}
		for x, r := range row {
			for half := range 2 {
				dark := r == '█' || r == []rune("▀▄")[half]
				if want := code.Black(x-quietZone, 2*i+half-quietZone); dark != want {
					t.Fatalf("module %d, %d: %v", x, 2*i+half, dark)
				}
			}
		}
	}
}
