package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

// Behind the box of natSite.
const (
	inner4, inner6 = nettest.Inner4, nettest.Inner6
	outer4, outer6 = nettest.Server4 + ":2200", "[" + nettest.Server6 + "]:2200"
)

// natSite is nettest.Site with a host that serves on port 22 and knows the way
// back.
func natSite(t testing.TB) (client, box, inner *nettest.Host) {
	t.Helper()
	client, box, inner = nettest.Site(t)
	inner.Run("ip", "-6", "route", "add", "default", "via", "fd09::1")
	inner.EchoTCP(":22")
	return client, box, inner
}

// natDoor is a door whose ports may lead elsewhere.
func natDoor(options, rest string) string {
	return fmt.Sprintf(`[options]
	LogFile = LOG
	%s
[nat]
	spa_key_file = DIR/ssh.keys
	open = tcp/2200-2210
	nat_allow = 10.9.0.0/24 tcp/22, fd09::/64 tcp/22, 10.7.0.2 tcp/22
	spa_ipv6 = yes
	cmd_timeout = 2
	%s
`, options, rest)
}

// keyed are the options of Debian's client for the keys.
var keyed = []string{"--key-rijndael", spaKey, "--key-hmac", spaHMAC, "-D", nettest.Server4}

// keyFile writes the keys for our client.
func keyFile(t testing.TB) string {
	t.Helper()
	name := t.TempDir() + "/keys"
	nettest.Write(t, name, spaKeys)
	return name
}

// TestNATDoor: a service behind the box is reached by Debian's client over IPv4
// and by ours over IPv6; until the time is over; what is connected goes on.
func TestNATDoor(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{
		"guard": "", "guard before translation": "guard_hook = prerouting", "mark": "nft_mode = mark",
		"set": "nft_mode = set\n\tnft_set = inet host four\n\tnft_set_6 = inet host six",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, box, _ := natSite(t)
			if name == "set" {
				file := t.TempDir() + "/rules"
				nettest.Write(t, file, "table inet host {\n set four { type ipv4_addr; flags timeout; }\n set six { type ipv6_addr; flags timeout; }\n}\n")
				box.Run("nft", "-f", file)
			}
			d := startKeyed(t, box, natDoor(options, ""), spaKeys)
			shut(t, client, outer4)
			fwknop(t, client, "", append([]string{"-A", "tcp/2200", "-a", nettest.Client4, "-N", inner4 + ":22"}, keyed...)...)
			d.waitFor("10.7.0.1: nat: client laptop asks for tcp/2200 to 10.9.0.2:22 for 10.7.0.1 (2 s)", 1)
			goesOn(t, d, client, outer4, nettest.Client4, "10.9.0.2:22")
			shut(t, client, outer6)
			status, stdout, stderr := outcome(t, client, program(t, "knock"), "spa", "--key-file", keyFile(t), "--ipv6-extension",
				"-A", "tcp/2200", "-N", "["+inner6+"]:22", nettest.Server6)
			if status != 0 || stdout+stderr != "" {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
			goesOn(t, d, client, outer6, nettest.Client6, "[fd09::2]:22")
			d.stop(syscall.SIGTERM)
			if rules := box.Run("nft", "list", "ruleset"); strings.Contains(rules, "knockd_nat") {
				t.Errorf("left:\n%s", rules)
			}
		})
	}
}

// goesOn connects through an open door, waits until it closes, and sees that
// the connection lives on and no other comes about.
func goesOn(t *testing.T, d *daemon, client *nettest.Host, address, from, to string) {
	t.Helper()
	d.waitFor(fmt.Sprintf("nat: opened tcp/2200 to %s for %s (2 s)", to, from), 1)
	conn, err := client.Dial("tcp", address, nettest.Patience)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.text())
	}
	defer conn.Close()
	d.waitFor("nat: closed for "+from, 1)
	closes(t, client, address)
	nettest.MustEcho(t, conn)
}

// TestNATLocal: a port that leads to another of the box itself, which the guard
// keeps shut, and only for who asked.
func TestNATLocal(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"guard": "", "guard before translation": "guard_hook = prerouting"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, box, _ := natSite(t)
			box.EchoTCP(":22")
			d := startKeyed(t, box, natDoor(options, "")+"[ssh]\n\tsequence = 7000,8000,9000\n\topen = tcp/22\n\tcmd_timeout = 30\n", spaKeys)
			shut(t, client, ssh4)
			fwknop(t, client, "", append([]string{"-A", "tcp/22", "-a", nettest.Client4, "--nat-local", "--nat-port", "2205"}, keyed...)...)
			d.waitFor("nat: opened tcp/2205 to 10.7.0.2:22 for 10.7.0.1 (2 s)", 1)
			d.waitFor("nat: opened tcp/22 for 10.7.0.1 (2 s)", 1)
			conn, err := client.Dial("tcp", nettest.Server4+":2205", nettest.Patience)
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, d.text(), box.Run("nft", "list", "ruleset"))
			}
			defer conn.Close()
			closes(t, client, nettest.Server4+":2205")
			closes(t, client, ssh4)
			nettest.MustEcho(t, conn)
		})
	}
}

// TestNATRefusedLive: only where the door allows it.
func TestNATRefusedLive(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	d := startKeyed(t, box, natDoor("", ""), spaKeys)
	for args, want := range map[string]string{
		"-N 10.9.1.2:22":             "it asks for NAT to 10.9.1.2 tcp/22, which is not in nat_allow",
		"-N 10.9.0.2:23":             "it asks for NAT to 10.9.0.2 tcp/23, which is not in nat_allow",
		"-N inner.example:22":        "it asks for NAT to a name; only addresses are taken",
		"-N 10.9.0.2:22 --nat-local": "it asks for local NAT to 10.9.0.2, which is not an address of this host",
	} {
		fwknop(t, client, "", append(strings.Fields("-A tcp/2200 -a 10.7.0.1 "+args), keyed...)...)
		d.waitFor("10.7.0.1: nat (laptop): SPA packet refused: "+want, 1)
	}
	shut(t, client, outer4)
	d.lacks("OPEN SESAME")
}

// TestNATOnly: a door for local NAT alone, wherever nat_allow leads, and one for
// other hosts alone. -t asks for no forwarding that nothing needs.
func TestNATOnly(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "iptables")
	const forward, local = "-N 10.9.0.2:22", "--nat-local --nat-port 2205"
	for only, c := range map[string]struct{ taken, refused, want string }{
		"local":   {local, forward, "it asks for NAT to another host, and the door takes local NAT alone (nat_only)"},
		"forward": {forward, local, "it asks for local NAT, and the door takes NAT to other hosts alone (nat_only)"},
	} {
		t.Run(only, func(t *testing.T) {
			t.Parallel()
			client, box, _ := natSite(t)
			if only == "local" {
				box.Sysctl("net/ipv4/ip_forward", "0")
				box.Run("iptables", "-P", "FORWARD", "DROP")
			}
			conf := strings.Replace(natDoor("nft_mode = mark", "nat_only = "+only), "nat_allow = 10.9.0.0/24 tcp/22, fd09::/64 tcp/22, 10.7.0.2 tcp/22",
				"nat_allow = 0.0.0.0/0 tcp/1-65535", 1)
			d := startKeyed(t, box, strings.Replace(conf, "tcp/2200-2210", "tcp/22, tcp/2200-2210", 1), spaKeys)
			ask := func(args string) {
				fwknop(t, client, "", append(strings.Fields("-A tcp/22 -a 10.7.0.1 "+args), keyed...)...)
			}
			ask(c.refused)
			d.waitFor("10.7.0.1: nat (laptop): SPA packet refused: "+c.want, 1)
			ask(c.taken)
			d.waitFor("nat: OPEN SESAME", 1)
			_, _, stderr := outcome(t, box, program(t, "knockd"), "-t", "-c", d.conf)
			if strings.Contains(stderr, "forwarded") || strings.Contains(stderr, "FORWARD") {
				t.Errorf("-t: %s", stderr)
			}
		})
	}
}

// TestNATLacks: what the host lacks is said by -t and at the start, and with
// what was advised the door works.
func TestNATLacks(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "iptables")
	client, box, inner := natSite(t)
	inner.Run("ip", "route", "del", "default")
	box.Sysctl("net/ipv4/ip_forward", "0")
	box.Run("iptables", "-P", "FORWARD", "DROP")
	box.Run("ip", "route", "add", "default", "dev", "inside")
	conf := strings.Replace(natDoor("", ""), "fd09::/64 tcp/22, ", "", 1)
	lacks := []string{
		"door nat: chain FORWARD of table ip filter drops what NAT leads to 10.9.0.0/24 tcp/22; add: iptables -I FORWARD -m mark --mark 0x100000/0x100000 -j ACCEPT",
		"door nat: chain FORWARD of table ip filter drops the answers from 10.9.0.0/24 tcp/22; add: iptables -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"door nat: nothing is forwarded to 10.9.0.0/24: net.ipv4.ip_forward is 0; add: sysctl -w net.ipv4.ip_forward=1, and the same to /etc/sysctl.d",
		"door nat: 10.9.0.0/24 is reached over the interface of the default route, over which knockers come too: its answers may pass this host by; add: nat_masquerade = yes, or there a route back by way of this host",
	}
	d := startKeyed(t, box, conf, spaKeys)
	checked := func() string {
		_, _, stderr := outcome(t, box, program(t, "knockd"), "-t", "-c", d.conf)
		return stderr
	}
	for _, text := range lacks {
		d.waitFor(text, 1)
		if got := checked(); !strings.Contains(got, "knockd: warning: "+text+"\n") {
			t.Errorf("-t says\n%s\nwithout\n%s", got, text)
		}
	}
	for _, text := range lacks[:2] {
		_, rule, _ := strings.Cut(text, "iptables -I FORWARD ")
		box.Run("iptables", append([]string{"-I", "FORWARD"}, strings.Fields(rule)...)...)
	}
	box.Sysctl("net/ipv4/ip_forward", "1")
	was, err := os.ReadFile(d.conf)
	if err != nil {
		t.Fatal(err)
	}
	d.configure(string(was) + "\tnat_masquerade = yes\n")
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.waitFor("re-reading config file", 1)
	if got := checked(); strings.Contains(got, "door nat") {
		t.Errorf("still:\n%s", got)
	}
	nettest.Eventually(t, "the masquerading is there", func() bool {
		return strings.Contains(box.Run("nft", "list", "ruleset"), "masquerade")
	})
	fwknop(t, client, "", append([]string{"-A", "tcp/2200", "-a", nettest.Client4, "-N", inner4 + ":22"}, keyed...)...)
	goesOn(t, d, client, outer4, nettest.Client4, "10.9.0.2:22")
}

// TestNATRestart: after SIGKILL the openings are there and close on time.
func TestNATRestart(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	d := startKeyed(t, box, natDoor("", "max_timeout = 60"), spaKeys)
	fwknop(t, client, "", append([]string{"-f", "6", "-A", "tcp/2200", "-a", nettest.Client4, "-N", inner4 + ":22"}, keyed...)...)
	opens(t, client, outer4)
	d.stop(syscall.SIGKILL)
	opens(t, client, outer4)
	again := exec.Command(program(t, "knockd"), "-c", d.conf, "-g", d.log)
	if err := box.Start(again); err != nil {
		t.Fatal(err)
	}
	d.waitFor("starting up, listening on", 2)
	opens(t, client, outer4)
	d.waitFor("nat: closed for 10.7.0.1", 1)
	closes(t, client, outer4)
}
