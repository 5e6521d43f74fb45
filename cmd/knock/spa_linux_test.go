package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// home makes a home directory with the given files in it, by their names.
func home(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		nettest.Write(t, path, text)
	}
	return dir
}

// knockAt runs the command in a host with a home directory.
func knockAt(t *testing.T, h *nettest.Host, home string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := command(ctx, args...)
	cmd.Env = append(cmd.Env, "HOME="+home, "LOGNAME=tester")
	return finish(t, h, cmd)
}

// fwknopd runs Debian's fwknopd in a host until the test ends. It takes no path
// with a comma.
func fwknopd(t *testing.T, h *nettest.Host, conf, access string) (log func() string) {
	t.Helper()
	nettest.NeedProgram(t, "/usr/sbin/fwknopd")
	nettest.NeedRealRoot(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		return nettest.Write(t, filepath.Join(dir, name), text)
	}
	conf += fmt.Sprintf("\nFWKNOP_RUN_DIR %[1]s/run;\nFWKNOP_PID_FILE %[1]s/run/pid;\nDIGEST_FILE %[1]s/run/digest.cache;\n", dir)
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("/usr/sbin/fwknopd", "-f", "-v", "-c", write("fwknopd.conf", conf), "-a", write("access.conf", access))
	cmd.Stdout, cmd.Stderr = out, out
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	log = func() string {
		text, _ := os.ReadFile(out.Name())
		return string(text)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("fwknopd:\n%s", log())
		}
	})
	nettest.Eventually(t, "fwknopd", func() bool {
		return strings.Contains(log(), "Starting fwknopd main event loop") || strings.Contains(log(), "Kicking off UDP server")
	})
	return log
}

// udpServer and cycle make a fwknopd that opens a port of door's set.
const (
	udpServer = "ENABLE_UDP_SERVER Y;\nUDPSERV_PORT 62201;"
	cycle     = "CMD_CYCLE_OPEN /usr/sbin/nft add element inet door open { $PORT }\nCMD_CYCLE_CLOSE NONE\n"
	testKeys  = "KEY_BASE64: 9s2AdQWfW0+lxpIOnlU3UkIQ0xKrKLp7kEDULGJWWYA=\n" +
		"HMAC_KEY_BASE64: 5Gy5I6QuD2THjCBxvenevkh61ixJmw63/jSkPvM20rirkJHxJ++d1LcSSjm3zZGZut+oGlZi6ejL9kqKD0PsZA==\n"
)

// TestSPAOpensFwknopd asks Debian's fwknopd, with its UDP server, in every way
// that keys and options can be said; the port is shut before.
func TestSPAOpensFwknopd(t *testing.T) {
	type way struct {
		args   string
		files  map[string]string
		access string
	}
	config := map[string]string{".config/knock/config": "[10.7.0.2]\nspa_key_file = keys\nspa_access = tcp/22\n", ".config/knock/keys": testKeys}
	rc := "[default]\nSPA_SERVER_PORT 62201\n[10.7.0.2]\nACCESS tcp/22\n" + strings.ReplaceAll(testKeys, ": ", " ")
	ways := map[string]way{
		"profile":               {"spa -w tcp/22 10.7.0.2", config, testKeys + "REQUIRE_SOURCE_ADDRESS Y\n"},
		"profile without word":  {"-w tcp/22 10.7.0.2", config, testKeys},
		"key file":              {"spa -A tcp/22 --key-file KEYS -w tcp/22 10.7.0.2", nil, testKeys},
		"address of sender":     {"spa -s -w tcp/22 10.7.0.2", config, testKeys},
		"address named":         {"spa -a 10.7.0.1 -w tcp/22 10.7.0.2", config, testKeys + "REQUIRE_SOURCE_ADDRESS Y\n"},
		"timeout":               {"spa -f 60 -w tcp/22 10.7.0.2", config, testKeys},
		"several ports":         {"spa -A tcp/22,udp/53 -w tcp/22 10.7.0.2", config, testKeys},
		"user":                  {"spa --user alice -w tcp/22 10.7.0.2", config, testKeys + "REQUIRE_USERNAME alice\n"},
		"user from LOGNAME":     {"spa -w tcp/22 10.7.0.2", config, testKeys + "REQUIRE_USERNAME tester\n"},
		"digest":                {"spa --digest sha3_512 -w tcp/22 10.7.0.2", config, testKeys},
		"clock in minutes":      {"spa --time-offset -1m30s -f 1min -w tcp/22 10.7.0.2", config, testKeys},
		"clock":                 {"spa --time-offset -100 -w tcp/22 10.7.0.2", config, testKeys},
		"source port":           {"spa -S 31337 -w tcp/22 --retry 0 10.7.0.2", config, testKeys},
		"fwknoprc":              {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": rc}, testKeys},
		"fwknoprc without word": {"-w tcp/22 10.7.0.2", map[string]string{".fwknoprc": rc}, testKeys},
		"fwknoprc by server":    {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": strings.Replace(rc, "[10.7.0.2]\n", "[office]\nSPA_SERVER 10.7.0.2\n", 1)}, testKeys},
		"fwknoprc by stanza":    {"spa -w tcp/22 office", map[string]string{".fwknoprc": strings.Replace(rc, "[10.7.0.2]\n", "[office]\nSPA_SERVER 10.7.0.2\n", 1)}, testKeys},
		"fwknoprc named":        {"spa -w tcp/22 -n office", map[string]string{".fwknoprc": strings.Replace(rc, "[10.7.0.2]\n", "[office]\nSPA_SERVER 10.7.0.2\n", 1)}, testKeys},
		"fwknoprc default":      {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": strings.Replace(rc, "[10.7.0.2]\n", "", 1)}, testKeys},
		"fwknoprc without HMAC": {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": "[10.7.0.2]\nACCESS tcp/22\nKEY open-sesame-17\n"}, "KEY open-sesame-17\n"},
		"fwknoprc legacy":       {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": "[10.7.0.2]\nACCESS tcp/22\nKEY abc\nENCRYPTION_MODE legacy\n"}, "KEY abc\nENCRYPTION_MODE legacy\n"},
		"fwknoprc passwords":    {"spa -w tcp/22 10.7.0.2", map[string]string{".fwknoprc": "[10.7.0.2]\nACCESS tcp/22\nALLOW_IP source\nKEY abc\nHMAC_KEY def\n"}, "KEY abc\nHMAC_KEY def\n"},
	}
	for h := spa.MD5; h <= spa.SHA3_512; h++ {
		typed := testKeys + "HMAC_DIGEST_TYPE " + h.String() + "\n"
		ways["HMAC "+h.String()] = way{"spa -w tcp/22 10.7.0.2", map[string]string{".config/knock/config": config[".config/knock/config"], ".config/knock/keys": typed}, typed}
	}
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cli, srv := nettest.Pair(t)
			shut(t, srv, "drop")
			log := fwknopd(t, srv, udpServer, "SOURCE ANY\n"+w.access+cycle)
			if cli.Reaches("10.7.0.2:22", 300*time.Millisecond) {
				t.Fatal("open before")
			}
			dir := home(t, w.files)
			keys := filepath.Join(home(t, map[string]string{"keys": testKeys}), "keys")
			got := knockAt(t, cli, dir, strings.Fields(strings.ReplaceAll(w.args, "KEYS", keys))...)
			if got.code != 0 || got.stdout != "" || got.stderr != "" {
				t.Errorf("%+v\n%s", got, log())
			}
			if !cli.Reaches("10.7.0.2:22", 10*time.Second) {
				t.Errorf("still shut\n%s", log())
			}
		})
	}
}

// TestSPAOpensFwknopdWithPcap is the same as Debian installs it: libpcap and
// iptables, and packets that no socket sees.
func TestSPAOpensFwknopdWithPcap(t *testing.T) {
	nettest.NeedProgram(t, "iptables")
	nettest.NeedLibrary(t, "fwknopd", "libpcap")
	const rc = "[office]\nSPA_SERVER 10.7.0.2\nACCESS tcp/22\n"
	const udpraw = "knock: warning: udpraw: without a forged address that is udp, and is sent as udp\n" +
		"knock: hint: write SPA_SERVER_PROTO udp, or say -P udp\n"
	for name, c := range map[string]struct{ args, conf, rc, stderr string }{
		"udp":         {args: "spa -w tcp/22 10.7.0.2", conf: "PCAP_FILTER udp port 62201;"},
		"other port":  {args: "spa -p 4000 -w tcp/22 10.7.0.2", conf: "PCAP_FILTER udp port 4000;"},
		"random port": {args: "spa -r -w tcp/22 10.7.0.2", conf: "PCAP_FILTER udp;"},
		"tcpraw":      {args: "spa -P tcpraw -w tcp/22 10.7.0.2", conf: "PCAP_FILTER tcp port 62201;"},
		"tcp":         {args: "spa -P tcp -p 80 -w tcp/22 10.7.0.2", conf: "PCAP_FILTER tcp port 80;"},
		"http":        {args: "spa -P http -p 80 -w tcp/22 10.7.0.2", conf: "PCAP_FILTER tcp port 80;\nENABLE_SPA_OVER_HTTP Y;"},
		"icmp":        {args: "spa -P icmp -w tcp/22 10.7.0.2", conf: "PCAP_FILTER icmp;"},
		"udpraw":      {args: "spa -P udpraw -w tcp/22 10.7.0.2", conf: "PCAP_FILTER udp port 62201;", stderr: udpraw},
		"rc udpraw":   {args: "spa -w tcp/22 office", conf: "PCAP_FILTER udp port 62201;", rc: rc + "SPA_SERVER_PROTO udpraw\n", stderr: udpraw},
		"rc icmp":     {args: "-w tcp/22 office", conf: "PCAP_FILTER icmp;", rc: rc + "SPA_SERVER_PROTO ICMP\n"},
		"rc forged":   {args: "spa -w tcp/22 -P udp office", conf: "PCAP_FILTER udp port 62201;", rc: rc + "SPA_SERVER_PROTO udpraw\nSPOOF_SOURCE_IP 10.7.0.9\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cli, srv := nettest.Pair(t)
			srv.EchoTCP("0.0.0.0:22")
			srv.EchoTCP("0.0.0.0:80")
			srv.Run("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
			srv.Run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
			log := fwknopd(t, srv, "PCAP_INTF eth0;\n"+c.conf, "SOURCE ANY\nOPEN_PORTS tcp/22\nREQUIRE_SOURCE_ADDRESS Y\n"+testKeys)
			if cli.Reaches("10.7.0.2:22", 300*time.Millisecond) {
				t.Fatal("open before")
			}
			dir := home(t, map[string]string{".config/knock/config": "[10.7.0.2]\nspa_key_file = keys\nspa_access = tcp/22\n", ".config/knock/keys": testKeys,
				".fwknoprc": c.rc + strings.ReplaceAll(testKeys, ": ", " ")})
			if got := knockAt(t, cli, dir, strings.Fields(c.args)...); got.code != 0 || got.stdout != "" || got.stderr != c.stderr {
				t.Errorf("%+v\n%s", got, log())
			}
			if !cli.Reaches("10.7.0.2:22", 10*time.Second) {
				t.Errorf("still shut\n%s", log())
			}
		})
	}
}

// TestSPARefused: other keys open nothing, and an address that answers nothing
// is no error without --wait.
func TestSPARefused(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	shut(t, srv, "drop")
	fwknopd(t, srv, udpServer, "SOURCE ANY\nKEY other\nHMAC_KEY keys\n"+cycle)
	dir := home(t, map[string]string{".config/knock/config": "[10.7.0.*]\nspa_key_file = keys\nspa_access = tcp/22\n", ".config/knock/keys": testKeys})
	got := knockAt(t, cli, dir, "spa", "-w", "tcp/22", "--timeout", "1.5", "10.7.0.2")
	if got.code != 3 || !strings.HasPrefix(got.stderr, "knock: tcp/22 at 10.7.0.2 did not open within 1.5s: no answer\nknock: hint: check the keys") {
		t.Errorf("%+v", got)
	}
	if got := knockAt(t, cli, dir, "spa", "10.7.0.99"); got.code != 0 || got.stdout+got.stderr != "" {
		t.Errorf("nobody there: %+v", got)
	}
	if got := knockAt(t, cli, dir, "spa", "10.7.0.1"); got.code != 0 || got.stdout+got.stderr != "" {
		t.Errorf("a closed port: %+v", got)
	}
}

// TestSPAProxy carries a connection through a door opened by a packet.
func TestSPAProxy(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	shut(t, srv, "drop")
	fwknopd(t, srv, udpServer, "SOURCE ANY\n"+testKeys+cycle)
	dir := home(t, map[string]string{".config/knock/config": "[office]\nhost = 10.7.0.2\nspa_key_file = keys\nspa_access = tcp/22\n", ".config/knock/keys": testKeys})
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := command(ctx, "proxy", "--profile", "office", "10.7.0.2", "22")
	cmd.Env = append(cmd.Env, "HOME="+dir)
	cmd.Stdin = strings.NewReader("hello")
	if got := finish(t, cli, cmd); got.code != 0 || got.stdout != "hello" || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

// TestSPAOutput: what is said of a packet that is sent, or would be.
func TestSPAOutput(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	srv.EchoTCP("10.7.0.2:22")
	dir := home(t, map[string]string{".config/knock/config": "[10.7.0.2]\nspa_key_file = keys\nspa_access = tcp/22, udp/53\nspa_timeout = 60\n", ".config/knock/keys": testKeys})
	for args, want := range map[string]string{
		"spa --dry-run 10.7.0.2":  "would ask for tcp/22, udp/53 for 60 s\n",
		"spa -v 10.7.0.2":         "sending an authorization to udp 10.7.0.2:62201\n",
		"spa -v -p 4000 10.7.0.2": "sending an authorization to udp 10.7.0.2:4000\n",
	} {
		if got := knockAt(t, cli, dir, strings.Fields(args)...); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
	got := knockAt(t, cli, dir, "spa", "--json", "-w", "tcp/22", "10.7.0.2")
	var o summary
	if err := json.Unmarshal([]byte(got.stdout), &o); err != nil || o.Hits != 1 || o.Status != 0 || !*o.Open || strings.Contains(got.stdout, "9s2A") {
		t.Errorf("%+v, %v", got, err)
	}
}
