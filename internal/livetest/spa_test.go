package livetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// spaDoor is a door with keys before the locked server of site; rest are more
// keys of it.
func spaDoor(rest string) string {
	return `[options]
	logfile = LOG
[ssh]
	spa_key_file = DIR/ssh.keys
	open = tcp/22, udp/53, tcp/443
	start_command = iptables -w -I INPUT -s %IP% -p %PROTO% --dport %PORT% -j ACCEPT; echo %IP% %PROTO% %PORT% %CLIENT% >> DIR/opened
	stop_command = iptables -w -D INPUT -s %IP% -p %PROTO% --dport %PORT% -j ACCEPT
	cmd_timeout = 2
	` + rest + "\n"
}

const (
	spaKey  = "open-sesame-17"
	spaHMAC = "hmac-passphrase-42"
	spaKeys = "[laptop]\nKEY " + spaKey + "\nHMAC_KEY " + spaHMAC + "\n"
)

// startKeyed starts the daemon with a key file beside its configuration.
func startKeyed(t testing.TB, h *nettest.Host, conf, keys string) *daemon {
	t.Helper()
	secrets.keyFile(keys)
	file := t.TempDir() + "/ssh.keys"
	nettest.Write(t, file, keys)
	return start(t, h, strings.ReplaceAll(conf, "DIR/ssh.keys", file))
}

// fwknop runs Debian's client in a host; rc is its .fwknoprc.
func fwknop(t *testing.T, h *nettest.Host, rc string, args ...string) {
	t.Helper()
	nettest.NeedProgram(t, "fwknop")
	home := t.TempDir()
	if rc != "" {
		nettest.Write(t, home+"/.fwknoprc", rc)
	} else {
		args = append(args, "--no-rc-file")
	}
	saved := home + "/packet"
	if i := slices.Index(args, "-B"); i >= 0 {
		saved = args[i+1]
	} else {
		args = append(args, "-B", saved)
	}
	cmd := exec.Command("fwknop", append(args, "--no-save-args")...)
	cmd.Env = append(os.Environ(), "HOME="+home, "LOGNAME=tester")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("fwknop %q: %v\n%s", args, err, out.String())
	}
	packet, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	secrets.packet(bytes.TrimSpace(packet), clientOf(args))
}

// clientOf are the keys of fwknop's arguments; without any those of spaKeys.
func clientOf(args []string) spa.Client {
	c := laptop
	for i, a := range args {
		switch a {
		case "--key-rijndael":
			c = spa.Client{Key: []byte(args[i+1])}
		case "--key-hmac":
			c.HMACKey, c.HMAC = []byte(args[i+1]), spa.SHA256
		}
	}
	if i := slices.Index(args, "--hmac-digest-type"); i >= 0 {
		c.HMAC, _ = spa.ParseHash(args[i+1])
	}
	return c
}

// TestFwknopOpensOurDoor: Debian's client opens a door of ours, in every way
// that people use it, with a real connection before, during and after.
func TestFwknopOpensOurDoor(t *testing.T) {
	keyed := "--key-rijndael " + spaKey + " --key-hmac " + spaHMAC
	type way struct{ args, rc, keys, door, opened string }
	ways := map[string]way{
		"address":       {args: "-A tcp/22 -a 10.7.0.1 " + keyed, door: "require_source = yes"},
		"sender":        {args: "-A tcp/22 -s " + keyed},
		"timeout":       {args: "-A tcp/22 -a 10.7.0.1 -f 3 " + keyed},
		"several ports": {args: "-A udp/53,tcp/22 -a 10.7.0.1 " + keyed, opened: "10.7.0.1 udp 53 laptop 10.7.0.1 tcp 22 laptop"},
		"other port":    {args: "-A tcp/22 -s -p 4000 " + keyed, door: "spa_port = 62201, 4000-4010"},
		"random port":   {args: "-A tcp/22 -s -r " + keyed, door: "spa_port = 10000-65535"},
		"tcpraw":        {args: "-A tcp/22 -a 10.7.0.1 -P tcpraw -Q 10.7.0.1 " + keyed},
		"udpraw":        {args: "-A tcp/22 -a 10.7.0.1 -P udpraw -Q 10.7.0.1 " + keyed},
		"user":          {args: "-A tcp/22 -s -U alice " + keyed, door: "require_user = alice"},
		"allowed":       {args: "-A tcp/22 -s " + keyed, door: "allow = 10.7.0.0/24"},
		"no HMAC":       {args: "-A tcp/22 -s --key-rijndael " + spaKey, keys: "[laptop]\nKEY " + spaKey + "\n", door: "spa_hmac = none"},
		"legacy":        {args: "-A tcp/22 -s -M legacy --key-rijndael " + spaKey, keys: "[laptop]\nKEY " + spaKey + "\nENCRYPTION_MODE legacy\n", door: "spa_hmac = none"},
		"fwknoprc":      {args: "-n office", rc: "[default]\nUSE_HMAC Y\n[office]\nSPA_SERVER 10.7.0.2\nACCESS tcp/22\nALLOW_IP source\nKEY " + spaKey + "\nHMAC_KEY " + spaHMAC + "\n"},
	}
	for _, h := range strings.Fields("md5 sha1 sha256 sha384 sha512 sha3_256 sha3_512") {
		ways["HMAC "+h] = way{args: "-A tcp/22 -s --hmac-digest-type " + h + " " + keyed, keys: spaKeys + "HMAC_DIGEST_TYPE " + h + "\n"}
	}
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := site(t)
			if w.keys == "" {
				w.keys = spaKeys
			}
			d := startKeyed(t, server, spaDoor(w.door), w.keys)
			shut(t, client, ssh4)
			args := strings.Fields(w.args)
			if w.rc == "" {
				args = append(args, "-D", nettest.Server4)
			}
			fwknop(t, client, w.rc, args...)
			opens(t, client, ssh4)
			closes(t, client, ssh4)
			if w.opened == "" {
				w.opened = "10.7.0.1 tcp 22 laptop"
			}
			// Ports of one message are opened side by side.
			got, want := slices.Sorted(slices.Values(d.opened())), slices.Sorted(slices.Values(strings.Fields(w.opened)))
			if !slices.Equal(got, want) {
				t.Errorf("opened: %s, want %s", got, want)
			}
			d.waitFor("10.7.0.1: ssh: OPEN SESAME", 1)
			for _, secret := range []string{spaKey, spaHMAC} {
				d.lacks(secret)
			}
		})
	}
}

// TestSPARefusedLive: what does not open, and what the log says of it.
func TestSPARefusedLive(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := startKeyed(t, server, spaDoor("require_source = yes\n\tallow = 10.7.0.0/24"), spaKeys)
	keyed := []string{"--key-rijndael", spaKey, "--key-hmac", spaHMAC, "-D", nettest.Server4}
	for _, c := range []struct{ args, want string }{
		{"-A tcp/22 -s", "10.7.0.1: ssh (laptop): SPA packet refused: it leaves the address to the sender; require_source wants it named"},
		{"-A tcp/80 -a 10.7.0.1", "10.7.0.1: ssh (laptop): SPA packet refused: tcp/80 is not in open"},
		{"-A tcp/22 -a 10.8.0.1", "10.7.0.1: ssh (laptop): SPA packet refused: the address to open, 10.8.0.1, is not in allow or allow_inside"},
		{"-A tcp/22 -a 10.7.0.1 --time-offset-minus 200", "10.7.0.1: ssh (laptop): SPA packet refused: 20"},
		{"-A tcp/22 -a 10.7.0.1 -N 10.7.0.9:22", "10.7.0.1: ssh (laptop): SPA packet refused: it asks for NAT, which the door does not allow"},
		{"-C reboot -a 10.7.0.1", "10.7.0.1: ssh (laptop): SPA packet refused: it is a command message; commands are never run"},
	} {
		fwknop(t, client, "", append(strings.Fields(c.args), keyed...)...)
		d.waitFor(c.want, 1)
	}
	fwknop(t, client, "", "-A", "tcp/22", "-a", "10.7.0.1", "--key-rijndael", "other", "--key-hmac", "keys", "-D", nettest.Server4)
	d.waitFor("10.7.0.1: SPA packet refused: made with no key of this host", 1)
	shut(t, client, ssh4)
	d.lacks("OPEN SESAME")
	d.lacks("reboot")
}

// TestSPAFromOurClient: knock opens the door of knockd, over IPv6 too, and
// through a native door.
func TestSPAFromOurClient(t *testing.T) {
	for family, c := range map[string]struct{ args, address string }{
		"IPv4": {"", nettest.Server4},
		"IPv6": {"--ipv6-extension", nettest.Server6},
	} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP("[::]:22")
			d := startKeyed(t, server, "[options]\n\tlogfile = LOG\n[ssh]\n\tspa_key_file = DIR/ssh.keys\n\topen = tcp/22\n\tcmd_timeout = 30\n\tspa_ipv6 = yes\n", spaKeys)
			address := c.address + ":22"
			if family == "IPv6" {
				address = "[" + c.address + "]:22"
			}
			shut(t, client, address)
			keys := t.TempDir() + "/keys"
			nettest.Write(t, keys, spaKeys)
			args := append(strings.Fields("spa -w tcp/22 -A tcp/22 --key-file "+keys+" "+c.args), c.address)
			if status, stdout, stderr := outcome(t, client, program(t, "knock"), args...); status != 0 || stdout+stderr != "" {
				t.Errorf("status %d\n%s%s\n%s", status, stdout, stderr, d.text())
			}
			opens(t, client, address)
			d.waitFor(fmt.Sprintf("%s: ssh: OPEN SESAME", map[string]string{"IPv4": nettest.Client4, "IPv6": nettest.Client6}[family]), 1)
		})
	}
}
