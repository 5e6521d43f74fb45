package livetest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
)

// statuses is a socket on which daemons report as to systemd, and the last
// status line.
type statuses struct {
	syncBuffer
	path string
}

func newStatuses(t *testing.T) *statuses {
	t.Helper()
	dir, err := os.MkdirTemp("", "knockd") // a socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &statuses{path: filepath.Join(dir, "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(s, "%s\n", buf[:n])
		}
	}()
	return s
}

// waitFor waits until the last status is as given.
func (s *statuses) waitFor(t *testing.T, want string) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("the last status: %q", last)
		}
	}()
	nettest.Eventually(t, fmt.Sprintf("the status %q", want), func() bool {
		for line := range strings.Lines(s.String()) {
			if text, ok := strings.CutPrefix(line, "STATUS="); ok {
				last = strings.TrimSpace(text)
			}
		}
		return last == want
	})
}

// box is a host whose daemon listens, or waits, on lan9, while the service is
// reached over eth0.
type box struct {
	t              *testing.T
	client, server *nettest.Host
	status         *statuses
	conf, log      string
	daemon         *daemon
}

func newBox(t *testing.T, options string) *box {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	client, server := openSite(t)
	dir := t.TempDir()
	b := &box{t: t, client: client, server: server, status: newStatuses(t), conf: dir + "/knockd.conf", log: dir + "/log"}
	conf := "[options]\n\tStateDir = " + dir + "/state\n\tInterface = lan9\n" + options + strings.ReplaceAll(fmt.Sprintf(nativeDoor, 600), "[options]", "")
	nettest.Write(t, b.conf, strings.ReplaceAll(conf, "LOG", b.log))
	return b
}

// start runs the daemon until it says that it is ready.
func (b *box) start() {
	b.t.Helper()
	b.daemon = &daemon{t: b.t, conf: b.conf, log: b.log, done: make(chan struct{})}
	cmd := exec.Command(program(b.t, "knockd"), "-c", b.conf)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+b.status.path)
	n := strings.Count(b.status.String(), "READY=1")
	b.daemon.run(b.server, cmd)
	nettest.Eventually(b.t, "the daemon is ready", func() bool { return strings.Count(b.status.String(), "READY=1") > n })
}

// knockd runs the program to its end.
func (b *box) knockd(args ...string) (status int, stdout, stderr string) {
	b.t.Helper()
	return outcome(b.t, b.server, program(b.t, "knockd"), append(args, "-c", b.conf)...)
}

// appears makes the interface that is listened on.
func (b *box) appears() {
	b.server.Run("ip", "link", "add", "name", "lan9", "type", "veth", "peer", "name", "far9")
	b.server.Run("ip", "link", "set", "lan9", "up")
}

func (b *box) vanishes() { b.server.Run("ip", "link", "delete", "lan9") }

func (b *box) reached() {
	b.t.Helper()
	for _, a := range bothFamilies {
		opens(b.t, b.client, a)
	}
}

func (b *box) isShut() {
	b.t.Helper()
	for _, a := range bothFamilies {
		shut(b.t, b.client, a)
	}
}

const (
	waits     = "waiting for interface lan9"
	unguarded = "tcp/22 is not guarded until something is listened on"
	lockedOut = "tcp/22 is closed to all and nothing listens: knockd --cleanup --force opens it"
)

// TestGuardInterfaces: a guard beside an interface that is missing, late, and
// vanishes, and then beside a table that an earlier run has left.
func TestGuardInterfaces(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"input", "prerouting"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, "\tguard_hook = "+hook+"\n")
			b.start() // missing
			b.reached()
			b.daemon.waitFor(unguarded, 1)
			b.status.waitFor(t, waits+"; "+unguarded)

			b.appears() // late
			b.daemon.waitFor("the guard closes tcp/22", 1)
			b.status.waitFor(t, "listening on lan9")
			b.isShut()
			b.daemon.lacks(lockedOut)

			b.vanishes()
			b.daemon.waitFor(lockedOut, 1)
			b.status.waitFor(t, waits+"; "+lockedOut)
			b.isShut()
			b.daemon.cmd.Process.Signal(syscall.SIGHUP)
			b.daemon.waitFor(lockedOut, 2)
			b.isShut()

			b.appears() // and comes back
			b.status.waitFor(t, "listening on lan9")
			b.isShut()
			b.vanishes()

			for n, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				b.daemon.stop(signal)
				b.isShut()
				b.start() // beside what the one before has left
				b.isShut()
				b.daemon.waitFor(lockedOut, 4+n)
				b.status.waitFor(t, waits+"; "+lockedOut)
				if got := b.daemon.output.String(); !strings.Contains(got, lockedOut) {
					t.Errorf("standard error:\n%s", got)
				}
			}
			b.appears()
			b.status.waitFor(t, "listening on lan9")
			b.isShut()
		})
	}
}

// TestGuardNeverClosed: a daemon that never had anything to listen on leaves
// nothing behind, and does not mind a second start.
func TestGuardNeverClosed(t *testing.T) {
	t.Parallel()
	b := newBox(t, "")
	b.start()
	b.daemon.stop(syscall.SIGKILL)
	b.start()
	b.reached()
	if status := b.daemon.stop(syscall.SIGTERM); status != 1 {
		t.Errorf("status %d", status)
	}
	b.reached()
	if out := b.server.Run("nft", "list", "ruleset"); out != "" {
		t.Errorf("left:\n%s", out)
	}
}

// TestGuardChecked: what -t says before a start of a daemon that could not
// listen.
func TestGuardChecked(t *testing.T) {
	t.Parallel()
	b := newBox(t, "")
	const none = "knockd: warning: waiting for interface lan9: there is none of this name now; "
	check := func(verdict, stderr string) {
		t.Helper()
		status, out, errs := b.knockd("-t")
		if status != 0 || out != b.conf+": 1 door, "+verdict+"\n" || errs != stderr {
			t.Errorf("status %d\n%s%s", status, out, errs)
		}
	}
	check("1 warning: nothing to listen on", none+unguarded+"\n")
	b.appears()
	check("no faults", "")
	b.start() // the daemon that runs now still listens
	b.isShut()
	b.vanishes()
	check("1 warning: nothing to listen on, and tcp/22 is shut", none+lockedOut+"\n")
	b.daemon.stop(syscall.SIGTERM)
	check("1 warning: nothing to listen on, and tcp/22 is shut", none+lockedOut+"\n")
	if status, out, errs := b.knockd("-t", "-i", "default-route"); status != 0 ||
		out != b.conf+": 1 door, 1 warning: nothing to listen on, and tcp/22 is shut\n" ||
		errs != "knockd: warning: waiting for a default route: there is none now; "+lockedOut+"\n" {
		t.Errorf("without a default route: status %d\n%s%s", status, out, errs)
	}
	b.appears()
	check("no faults", "")
	b.server.Run("ip", "route", "add", "default", "via", nettest.Client4)
	check("no faults", "knockd: advice: the default route leads through eth0, which is not listened on: no knock that comes in there is heard\n")
	b.server.Run("ip", "link", "set", "lan9", "down")
	if _, _, errs := b.knockd("-t"); !strings.Contains(errs, "knockd: advice: interface lan9 is down: nothing is heard on it now\n") {
		t.Errorf("an interface that is down:\n%s", errs)
	}
}

// TestMarkWithoutInterface: what closes nothing is made at the start, whatever
// is listened on.
func TestMarkWithoutInterface(t *testing.T) {
	t.Parallel()
	b := newBox(t, "\tnft_mode = mark\n")
	b.start()
	b.reached()
	b.status.waitFor(t, waits)
	if out := b.server.Run("nft", "list", "table", "inet", "knockd"); !strings.Contains(out, "tcp . 22 : goto mark_tcp_22") {
		t.Errorf("the table:\n%s", out)
	}
	if _, out, _ := b.knockd("-t"); out != b.conf+": 1 door, 1 warning: nothing to listen on\n" && !strings.Contains(out, " warnings: nothing to listen on\n") {
		t.Errorf("-t: %s", out)
	}
}

// TestGuardReload: a guard that a reload brings closes as one that was there
// from the start, and so do ports that it adds.
func TestGuardReload(t *testing.T) {
	t.Parallel()
	b := newBox(t, "")
	b.server.EchoTCP(":23")
	const telnet, plain = nettest.Server4 + ":23", "[plain]\n\tsequence = 1,2\n\tcommand = true\n"
	full, err := os.ReadFile(b.conf)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(full), "[ssh]")
	again := func(doors string, n int) {
		t.Helper()
		nettest.Write(t, b.conf, head+doors)
		b.daemon.cmd.Process.Signal(syscall.SIGHUP)
		b.daemon.waitFor(unguarded, n)
	}
	nettest.Write(t, b.conf, head+plain)
	b.start()
	_, door, _ := strings.Cut(string(full), "[ssh]")
	again("[ssh]"+door+plain, 1)
	b.reached()
	b.appears()
	b.daemon.waitFor("the guard closes tcp/22", 1)
	b.isShut()
	b.vanishes()
	b.daemon.waitFor(lockedOut, 1)
	more := "[telnet]\n\tsequence = 7,9,8\n\topen = tcp/23\n"
	nettest.Write(t, b.conf, head+"[ssh]"+door+plain+more)
	b.daemon.cmd.Process.Signal(syscall.SIGHUP)
	b.daemon.waitFor("tcp/23 is not guarded until something is listened on", 1)
	b.isShut()
	opens(t, b.client, telnet)
	b.appears()
	b.daemon.waitFor("the guard closes tcp/22-23", 1)
	b.isShut()
	shut(t, b.client, telnet)
	b.server.EchoTCP(":24")
	nettest.Write(t, b.conf, head+"[ssh]"+door+plain+strings.Replace(more, "tcp/23", "tcp/23-24", 1))
	b.daemon.cmd.Process.Signal(syscall.SIGHUP)
	closes(t, b.client, nettest.Server4+":24")
}

// TestGuardAtBoot: what --guard has closed stays closed when the daemon has
// nothing to listen on, whatever its signals.
func TestGuardAtBoot(t *testing.T) {
	t.Parallel()
	b := newBox(t, "")
	if status, out, errs := b.knockd("--guard"); status != 0 || out != "closed to all: tcp/22\n" || errs != "" {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	b.isShut()
	b.start()
	b.isShut()
	b.status.waitFor(t, waits+"; "+lockedOut)
	b.daemon.cmd.Process.Signal(syscall.SIGHUP)
	b.daemon.waitFor(lockedOut, 2)
	b.isShut()
	b.daemon.stop(syscall.SIGTERM)

	// One that goes to the background says so before it does.
	pidFile := t.TempDir() + "/pid"
	if status, out, errs := b.knockd("-d", "-p", pidFile); status != 0 || out != "" || errs != waits+"\n"+lockedOut+"\n" {
		t.Errorf("-d: status %d\n%s%s", status, out, errs)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if pid < 2 {
		t.Fatalf("the pid file says %q", text)
	}
	b.isShut()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// TestGuardLetsNothingBegin sends a segment with each combination of flags to
// a port that the guard closes, from addresses that answer nothing: what it
// lets through begins no connection, as those to another port do.
func TestGuardLetsNothingBegin(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"input", "prerouting"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			nettest.NeedProgram(t, "ss")
			client, server := openSite(t)
			server.EchoTCP(":80")
			start(t, server, strings.Replace(fmt.Sprintf(nativeDoor, 600), "[options]", "[options]\n\tguard_hook = "+hook, 1))
			mac := client.Hardware("eth0").String()
			for source, to := range map[string]string{"10.7.0.77": nettest.Server4, "fd07::77": nettest.Server6} {
				server.Run("ip", "neighbour", "add", source, "lladdr", mac, "dev", "eth0")
				for flags := range 64 {
					for _, port := range []uint16{22, 80} {
						h := domain.Hit{Src: netip.MustParseAddr(source), Dst: netip.MustParseAddr(to), SrcPort: uint16(10000 + flags), DstPort: port,
							Proto: domain.TCP, Flags: domain.Flags(flags), Seq: 1}
						inject(t, client, "eth0", server.Hardware("eth0"), conformance.Frame(h)[12:])
					}
				}
			}
			listed := func() string { return server.Run("ss", "-tnaH", "exclude", "listening") }
			nettest.Eventually(t, "connections to the other port begin", func() bool {
				out := listed()
				return strings.Contains(out, "10.7.0.77") && strings.Contains(out, "fd07::77")
			})
			if out := listed(); regexp.MustCompile(`:22\b`).MatchString(out) {
				t.Errorf("connections:\n%s", out)
			}
		})
	}
}
