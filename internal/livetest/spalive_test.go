package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// TestSPANothingAnswers: the server answers nothing at all to a packet, no
// program listens where it goes, and the door opens; also if the packet is for
// an address that no host has, and is led to the server.
func TestSPANothingAnswers(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	server.Run("ip", "route", "add", "blackhole", "10.9.0.0/24")
	client.Run("ip", "route", "add", "10.9.0.0/24", "via", nettest.Server4)
	for _, from := range []string{nettest.Server4, "10.9.0.0/24"} { // what counts
		client.Run("iptables", "-w", "-A", "INPUT", "-p", "icmp", "-s", from, "-j", "ACCEPT")
		client.Run("iptables", "-w", "-A", "INPUT", "-p", "udp", "-s", from, "-j", "ACCEPT")
	}
	// Open long enough for a machine with much else to do.
	conf := strings.Replace(spaDoor("destination = 10.7.0.2, 10.9.0.0/24"), "cmd_timeout = 2\n", "cmd_timeout = 6\n", 1)
	d := startKeyed(t, server, conf, spaKeys)
	if out, _ := server.Try("ss", "-Hlun"); strings.TrimSpace(out) != "" {
		t.Errorf("somebody listens: %s", out)
	}
	for n, to := range []string{nettest.Server4, "10.9.0.9"} {
		shut(t, client, ssh4)
		client.Run("iptables", "-w", "-Z", "INPUT")
		fwknop(t, client, "", "-A", "tcp/22", "-a", "10.7.0.1", "--key-rijndael", spaKey, "--key-hmac", spaHMAC, "-D", to)
		d.waitFor("10.7.0.1: ssh: OPEN SESAME", n+1)
		opens(t, client, ssh4)
		d.waitFor("ssh: closed for 10.7.0.1", n+1)
		closes(t, client, ssh4)
		for line := range strings.Lines(client.Run("iptables", "-w", "-nvxL", "INPUT")) {
			if strings.Contains(line, "ACCEPT") && !strings.HasPrefix(line, "Chain") && strings.Fields(line)[0] != "0" {
				t.Errorf("%s: the server has answered: %s", to, line)
			}
		}
	}
}

// TestSPAReload: keys that change, a door that goes, a faulty key file, with
// the daemon running.
func TestSPAReload(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	file := t.TempDir() + "/ssh.keys"
	other := spa.NewClient("phone", spa.SHA256)
	keys := func(text string) {
		t.Helper()
		secrets.keyFile(text)
		nettest.Write(t, file, text)
	}
	keys(spaKeys)
	const options = "[options]\n\tlogfile = LOG\n[knock]\n\tsequence = 7000,8000\n\tcommand = true\n"
	door := strings.NewReplacer("DIR/ssh.keys", file, "[options]\n\tlogfile = LOG\n", "", "cmd_timeout = 2\n", "cmd_timeout = 3600\n").Replace(spaDoor(""))
	d := start(t, server, options) // the door comes later
	sendMessage(t, client, message(t, laptop, "10.7.0.1"))
	d.configure(options + door)
	d.reload(1)
	time.Sleep(1100 * time.Millisecond) // the store is made now, and knows seconds
	works := func(c spa.Client, addr string) {
		t.Helper()
		sendMessage(t, client, message(t, c, addr))
		d.waitFor(addr+": ssh: OPEN SESAME", 1)
		d.waitFor("running command: iptables -w -I INPUT -s "+addr, 1)
	}
	fails := func(c spa.Client, n int) {
		t.Helper()
		sendMessage(t, client, message(t, c, "10.7.0.99"))
		d.waitFor("made with no key of this host", n)
	}
	works(laptop, "10.7.0.1")
	opens(t, client, ssh4)
	fails(other, 1)

	keys("[phone]\n" + other.KeyLines())
	d.reload(2)
	nettest.Eventually(t, "the new key", func() bool {
		sendMessage(t, client, message(t, other, "10.7.0.3"))
		return strings.Contains(d.text(), "10.7.0.3: ssh: OPEN SESAME")
	})
	before := strings.Count(d.text(), "made with no key of this host")
	fails(laptop, before+1)
	opens(t, client, ssh4) // what was open stays so

	keys("[phone]\nKEY " + spaKey + "\nHMAC_KEY " + spaKey + "\n")
	d.reload(3)
	d.waitFor(": [ssh] spa_key_file: "+file+":1: client phone: the keys for encryption and HMAC are equal\nconfiguration not changed", 1)
	works(other, "10.7.0.4")

	keys("[phone]\n" + other.KeyLines())
	d.configure(options)
	d.reload(4)
	d.waitFor("running command: iptables -w -D INPUT -s 10.7.0.1 ", 1)
	closes(t, client, ssh4)
	sendMessage(t, client, message(t, other, "10.7.0.5"))
	d.configure(options + door)
	d.reload(5)
	nettest.Eventually(t, "the door again", func() bool {
		sendMessage(t, client, message(t, other, "10.7.0.6"))
		return strings.Contains(d.text(), "10.7.0.6: ssh: OPEN SESAME")
	})
	d.lacks("10.7.0.5: ssh: OPEN SESAME")
	d.lacks("10.7.0.99: ssh: OPEN SESAME")
}

// TestSPAVariables: what commands are told, in their text and by their
// environment; without a port in it a command runs once.
func TestSPAVariables(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := startKeyed(t, server, `[options]
	logfile = LOG
[each]
	spa_key_file = DIR/ssh.keys
	spa_port = 62201
	open = tcp/22, tcp/443
	start_command = echo %IP% %PORT% %PROTO% %CLIENT% %SRC% %DST% %DOOR% $KNOCK_IP $KNOCK_PORT $KNOCK_PROTO $KNOCK_CLIENT $KNOCK_SRC $KNOCK_DST $KNOCK_DOOR >> DIR/each
	stop_command = echo %IP% %PORT% %CLIENT% $KNOCK_SRC $KNOCK_DST >> DIR/stopped
	cmd_timeout = 1
[once]
	spa_key_file = DIR/ssh.keys
	spa_port = 4000
	open = tcp/22, tcp/443
	start_command = echo %IP% %CLIENT% %SRC% %DST% >> DIR/once
	stop_command = true
`, spaKeys)
	reads := func(name, want string) {
		t.Helper()
		nettest.Eventually(t, name+" written", func() bool {
			data, _ := os.ReadFile(d.file(name))
			return strings.Count(string(data), "\n") >= strings.Count(want, "\n")
		})
		if data, _ := os.ReadFile(d.file(name)); lines(string(data)) != lines(want) {
			t.Errorf("%s:\n%swant\n%s", name, data, want)
		}
	}
	sendMessage(t, client, message(t, laptop, "192.0.2.7", 443))
	reads("each", "192.0.2.7 22 tcp laptop 10.7.0.1 10.7.0.2 each 192.0.2.7 22 tcp laptop 10.7.0.1 10.7.0.2 each\n"+
		"192.0.2.7 443 tcp laptop 10.7.0.1 10.7.0.2 each 192.0.2.7 443 tcp laptop 10.7.0.1 10.7.0.2 each\n")
	reads("stopped", "192.0.2.7 22 laptop 10.7.0.1 10.7.0.2\n192.0.2.7 443 laptop 10.7.0.1 10.7.0.2\n")
	if err := client.Send(nettest.Server4+":4000", message(t, laptop, "192.0.2.8", 443)); err != nil {
		t.Fatal(err)
	}
	reads("once", "192.0.2.8 laptop 10.7.0.1 10.7.0.2\n")
}

// TestSPAJunk: packets that look like messages and are none, replays among
// them, cost no memory and few lines of the log, and do not keep anybody out.
func TestSPAJunk(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := startKeyed(t, server, strings.Replace(onceDoor, "100000", "10", 1), spaKeys)
	used := message(t, laptop, "10.7.0.1")
	sendMessage(t, client, used)
	d.waitFor("10.7.0.1: ssh: OPEN SESAME", 1)
	junk := message(t, spa.NewClient("stranger", spa.SHA256), "192.0.2.1")
	flood := func(n int) {
		t.Helper()
		err := client.Do(func() error {
			conn, err := client.Dial("udp", nettest.Server4+":62201", time.Second)
			if err != nil {
				return err
			}
			defer conn.Close()
			for i := range n {
				p := junk
				if i%10 == 0 {
					p = used
				}
				conn.Write(p) // a port unreachable is no harm
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// After a flood the kernel may have no room for a packet: its sender sends
	// another.
	honest := func() {
		t.Helper()
		n := strings.Count(d.text(), "OPEN SESAME")
		nettest.Eventually(t, "opened after a flood", func() bool {
			sendMessage(t, client, message(t, laptop, "10.99.0.1"))
			return strings.Count(d.text(), "OPEN SESAME") > n
		})
	}
	began := time.Now()
	flood(5_000)
	honest()
	before := usage(t, d.cmd.Process.Pid)
	packets := 40_000
	if os.Getenv("KNOCKD_LONG") != "" {
		packets = 1_000_000
	}
	for range packets / 10_000 {
		flood(10_000)
	}
	honest()
	after := usage(t, d.cmd.Process.Pid)
	if grown := after.kilobytes - before.kilobytes; grown > 16<<10 {
		t.Errorf("grown by %d kB, from %d to %d", grown, before.kilobytes, after.kilobytes)
	}
	d.waitFor("lines left out (LogRate)", 1)
	text := d.text()
	said := strings.Count(text, "SPA packet refused") + strings.Count(text, "left out")
	if limit := 15 * (int(time.Since(began)/time.Second) + 2); said > limit || said == 0 {
		t.Errorf("%d lines about %d packets", said, packets)
	}
	t.Logf("%d kB, then %d kB; %d lines about %d packets in %v", before.kilobytes, after.kilobytes, said, packets, time.Since(began))
	if n := d.openedFor("10.7.0.1"); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

// TestSPAProxyAndWait: knock waits for our door, and carries a connection
// through it.
func TestSPAProxyAndWait(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	startKeyed(t, server, spaDoor("require_source = yes"), spaKeys)
	home := t.TempDir()
	for name, text := range map[string]string{
		"config": "[office]\nhost = 10.7.0.2\nspa_key_file = keys\nspa_access = tcp/22\nwait = tcp/22\n",
		"keys":   spaKeys,
	} {
		os.MkdirAll(home+"/.config/knock", 0o700)
		nettest.Write(t, home+"/.config/knock/"+name, text)
	}
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program(t, "knock"), args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=")
		cmd.Stdin = strings.NewReader(stdin)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := client.Start(cmd); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		secrets.check(t, "knock's output", out.String())
		return fmt.Sprint(cmd.ProcessState.ExitCode(), " ", out.String())
	}
	shut(t, client, ssh4)
	if got := run("", "office"); got != "0 " {
		t.Error(got)
	}
	opens(t, client, ssh4)
	closes(t, client, ssh4)
	if got := run("hello", "proxy", "--profile", "office", "10.7.0.2", "22"); got != "0 hello" {
		t.Error(got)
	}
	closes(t, client, ssh4)
	if got := run("", "-v", "spa", "-s", "-w", "tcp/22", "--timeout", "2", "--retry", "1", "office"); !strings.HasPrefix(got, "3 sending an authorization to udp 10.7.0.2:62201\n") {
		t.Error(got)
	}
}
