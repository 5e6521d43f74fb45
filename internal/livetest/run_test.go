package livetest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// outcome of a command that ends by itself.
func outcome(t *testing.T, h *nettest.Host, name string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if !slices.Contains(args, "-D") {
		secrets.check(t, name+" on standard output", out.String())
		secrets.check(t, name+" on standard error", errs.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestEndings: what is wrong, what to try, and the exit status.
func TestEndings(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	good, bad, unsafe := dir+"/good.conf", dir+"/bad.conf", dir+"/unsafe.conf"
	if err := os.Mkdir(dir+"/unsafe", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/unsafe", 0o777); err != nil { // whatever the umask
		t.Fatal(err)
	}
	nettest.Write(t, unsafe, "[options]\n\tStateDir = "+dir+"/unsafe\n[a]\n\tsequence = 7000\n")
	nettest.Write(t, good, "[options]\n\tStateDir = "+dir+"/state\n[a]\n\tsequence = 7000,9000,8000\n\ttcpflags = syn,!ack\n\tcommand = true\n")
	nettest.Write(t, bad, "[a]\n\tsequence = 7000,70000\n\tcolour = blue\n[b]\n\tcommand = true\n")
	for _, c := range []struct {
		args           string
		status         int
		stdout, stderr string // "..." stands for anything
	}{
		{"-t -c " + good, 0, good + ": 1 door, no faults\n", ""},
		{"-t -c " + unsafe, 1, "", "knockd: " + dir + "/unsafe: not safe: others can write it (mode 0777)\nknockd: hint: ..."},
		{"-i lo -c " + unsafe, 1, "", "knockd: " + dir + "/unsafe: not safe: others can write it (mode 0777)\nknockd: hint: ..."},
		{"-t -c " + bad, 1, "", bad + ":2: [a] sequence: ...\n" + bad + ":3: [a] colour: ...\n" + bad + ":4: [b] sequence: ...\n"},
		{"-i lo -c " + bad, 1, "", bad + ":2: [a] sequence: ...\n" + bad + ":3: [a] colour: ...\n" + bad + ":4: [b] sequence: ...\n"},
		{"-c " + dir + "/none.conf", 1, "", "knockd: ...none.conf: no such file or directory\nknockd: hint: name another configuration with -c, or have one made: knockctl init\n"},
		{"--bogus", 2, "", "knockd: unknown flag: --bogus\nknockd: hint: ...\n"},
		{"-V", 0, "knockd ...\n", ""},
		{"-h", 0, "usage: knockd ...", ""},
		{"-r " + dir + "/none.pcap --address 127.0.0.1 -c " + good, 1, "", "knockd: ...none.pcap: no such file or directory\n"},
	} {
		status, stdout, stderr := outcome(t, h, program(t, "knockd"), strings.Fields(c.args)...)
		if status != c.status || !like(c.stdout, stdout) || !like(c.stderr, stderr) {
			t.Errorf("knockd %s: status %d\n%s%swant %d\n%s%s", c.args, status, stdout, stderr, c.status, c.stdout, c.stderr)
		}
	}
}

// like compares a text with a pattern in which "..." stands for anything.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "...")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// TestVerbose: what -v prints is what knockd 0.8 prints.
func TestVerbose(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	r := startRivals(t, server, countDoor("7000,8000:udp", "cmd_timeout = 1\n\tstop_command = true"), "-v")
	knock08(t, client, nettest.Server4, "7000", "8000:udp")
	knock08(t, client, "-6", nettest.Server6, "7000", "8000:udp")
	r.agree(t, 2)
	theirs := strings.ReplaceAll(r.theirs.output.String(), r.theirs.file(""), "")
	ours := strings.ReplaceAll(r.ours.output.String(), r.ours.file(""), "")
	// The two doors close at about the same time, in either order.
	if lines(theirs) != lines(ours) {
		t.Errorf("knockd 0.8:\n%sours:\n%s", theirs, ours)
	}
	if !strings.HasPrefix(ours, "listening on eth0...\n") || !strings.HasSuffix(ours, "waiting for child processes...\nclosing...\n") {
		t.Errorf("printed:\n%s", ours)
	}
}

// TestOnlyIPv4: with -4 there is no IPv6.
func TestOnlyIPv4(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000", ""), "-4")
	syn(t, client, nettest.Client6, nettest.Server6, "7000")
	syn(t, client, nettest.Client4, nettest.Server4, "7000")
	d.opensFor(nettest.Client4)
	d.lacks("fd07::1")
}

// TestDaemon: -d returns when the daemon listens, with a pid file that leads
// to it.
func TestDaemon(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := t.TempDir()
	nettest.Write(t, dir+"/knockd.conf", "[options]\nlogfile = "+dir+"/log\nStateDir = "+dir+"/state\n[a]\nsequence = 7000\ncommand = pwd > "+dir+"/opened\n")
	status, stdout, stderr := outcome(t, server, program(t, "knockd"), "-d", "-c", dir+"/knockd.conf", "-p", dir+"/pid")
	if status != 0 || stdout != "" || stderr != "" {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	text, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(string(text), &pid)
	t.Cleanup(func() {
		if pid > 1 && syscall.Kill(pid, 0) == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	syn(t, client, nettest.Client4, nettest.Server4, "7000") // at once
	nettest.Eventually(t, "opened from the root directory", func() bool {
		data, _ := os.ReadFile(dir + "/opened")
		return string(data) == "/\n"
	})
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "the pid file removed", func() bool {
		_, err := os.Stat(dir + "/pid")
		return os.IsNotExist(err)
	})
}

// TestDaemonLetsGo: what else -d was given open it does not keep: whoever reads
// from such a pipe would wait for the daemon's end.
func TestDaemonLetsGo(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	nettest.Write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/state\n[a]\nsequence = 7000\ncommand = true\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(program(t, "knockd"), "-d", "-i", "lo", "-c", dir+"/knockd.conf", "-p", dir+"/pid")
	cmd.ExtraFiles = []*os.File{w, w, w}
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(dir + "/pid")
	var pid int
	fmt.Sscan(string(text), &pid)
	if pid < 2 {
		t.Fatalf("the pid file says %q", text)
	}
	defer syscall.Kill(pid, syscall.SIGTERM)
	r.SetReadDeadline(time.Now().Add(nettest.Patience))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading: %v, want the end of the file", err)
	}
}

// TestDaemonFault: -d says itself why there is no daemon.
func TestDaemonFault(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	nettest.Write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/knockd.conf/no\n[a]\nsequence = 7000\ncommand = true\n")
	status, _, stderr := outcome(t, h, program(t, "knockd"), "-d", "-i", "lo", "-c", dir+"/knockd.conf", "-p", dir+"/pid")
	if status != 1 || !like("knockd: ...: not a directory\nknockd: hint: ...\n", stderr) {
		t.Errorf("status %d\n%s", status, stderr)
	}
}

// TestHungCommand: a command that hangs holds up nobody else, and neither
// does one that prints without end.
func TestHungCommand(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, `[options]
	logfile = LOG
[hangs]
	sequence = 7000:udp
	start_command = exec sleep 100
[prints]
	sequence = 7001:udp
	start_command = yes
[works]
	sequence = 7002:udp
	start_command = echo works >> DIR/opened
`)
	for range 3 {
		syn(t, client, nettest.Client4, nettest.Server4, "7000:udp", "7001:udp")
	}
	d.waitFor("running command: yes", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7002:udp")
	d.opensFor("works")
	d.cmd.Process.Kill() // or it waits for them as long as it has promised
}

// TestManyOpenings: a hundred addresses at once, each opened and closed.
func TestManyOpenings(t *testing.T) {
	t.Parallel()
	const n = 100
	client, server := nettest.Pair(t)
	for i := range n {
		client.AddAddress("eth0", fmt.Sprintf("10.7.1.%d/32", i+1))
	}
	server.Run("ip", "route", "add", "10.7.1.0/24", "dev", "eth0")
	d := start(t, server, countDoor("7000:udp,8000:udp", "cmd_timeout = 1\n\tstop_command = echo closed >> DIR/opened"))
	for i := range n {
		from := net.IPv4(10, 7, 1, byte(i+1)).String()
		syn(t, client, from, nettest.Server4, "7000:udp", "8000:udp")
	}
	d.waitFor("OPEN SESAME", n)
	nettest.Eventually(t, "all closed", func() bool { return strings.Count(strings.Join(d.opened(), " "), "closed") == n })
	if got := len(d.opened()); got != 2*n {
		t.Errorf("%d commands, want %d", got, 2*n)
	}
}

// TestLookup: -l adds the host's name as soon as it is known, and from stage 2
// on only. The name of loopback stands in /etc/hosts.
func TestLookup(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "/etc/hosts")
	h := nettest.NewHost(t, "h")
	names, err := net.DefaultResolver.LookupAddr(t.Context(), "127.0.0.1")
	if err != nil || len(names) == 0 {
		nettest.Missing(t, "needs a name for 127.0.0.1 in /etc/hosts: %v", err)
	}
	d := start(t, h, countDoor("7000,8000,9000", "seq_timeout = 60"), "-i", "lo", "-l")
	syn(t, h, "127.0.0.1", "127.0.0.1", "7000", "8000")
	d.waitFor("Stage 2", 1)
	name := strings.TrimSuffix(names[0], ".")
	nettest.Eventually(t, "the name in a line", func() bool {
		syn(t, h, "127.0.0.1", "127.0.0.1", "9000", "7000", "8000")
		return strings.Contains(d.text(), "127.0.0.1 ("+name+"): door: OPEN SESAME")
	})
	d.waitFor("127.0.0.1: door: Stage 1", 1)
}
