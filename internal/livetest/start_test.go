package livetest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// TestSyslogLines: with UseSyslog each line is a datagram to /dev/log, as the
// knockd 0.8 of Debian sends it. The daemon sees a /dev of its own.
func TestSyslogLines(t *testing.T) {
	nettest.NeedProgram(t, "unshare", "mount")
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := t.TempDir()
	dev := dir + "/dev"
	if err := os.Mkdir(dev, 0o755); err != nil {
		t.Fatal(err)
	}
	nettest.Write(t, dev+"/null", "")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dev + "/log", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nettest.Write(t, dir+"/knockd.conf", "[options]\n\tUseSyslog\n\tStateDir = "+dir+"/state\n[openSSH]\n\tsequence = 7000,8000\n\tcommand = true %IP%\n\ttcpflags = syn\n")
	prepareCommand(t, server, dir+"/log", "unshare", "--mount", "sh", "-c",
		"mount --bind /dev/null "+dev+"/null && mount --rbind "+dev+" /dev && exec "+program(t, "knockd")+" -c "+dir+"/knockd.conf")
	line := func(text string) {
		t.Helper()
		buf := make([]byte, 1000)
		l.SetReadDeadline(time.Now().Add(nettest.Patience))
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^<29>[A-Z][a-z][a-z] [ 1-3]\d \d\d:\d\d:\d\d knockd: ` + text + `$`).Match(buf[:n]) {
			t.Errorf("%q, want %s", buf[:n], text)
		}
	}
	line("starting up, listening on eth0")
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000")
	for _, text := range []string{"openSSH: Stage 1", "openSSH: Stage 2", "openSSH: OPEN SESAME"} {
		line(regexp.QuoteMeta(nettest.Client4) + ": " + text)
	}
	line("openSSH: running command: true " + regexp.QuoteMeta(nettest.Client4))
}

// TestDaemonAsUser: an ordinary user starts a program that bears CAP_NET_RAW
// with -d, as images of game servers do. He can write neither the pid file nor
// the default state directory: both are warnings, as with knockd 0.8.
func TestDaemonAsUser(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := nobodysDir(t)
	bearing(t, dir+"/knockd", unix.CAP_NET_RAW)
	chown(t, dir, 1000)
	nettest.Write(t, dir+"/knockd.conf", "[options]\n\tlogfile = "+dir+"/log\n[wake]\n\tsequence = 25565\n\tseq_timeout = 1\n\tcommand = echo $PPID > "+dir+"/opened\n\ttcpflags = syn\n")
	// Here as on a machine where root has never run knockd.
	hidden := "mount -t tmpfs -o mode=0755 tmpfs /var/lib && mount -t tmpfs -o ro tmpfs /run && exec setpriv --reuid 1000 --regid 1000 --clear-groups "
	status, stdout, stderr := outcome(t, server, "unshare", "--mount", "sh", "-c", hidden+dir+"/knockd -d -c "+dir+"/knockd.conf")
	want := "knockd: warning: mkdir /var/lib/knockd: permission denied: doors that are open stay open if knockd crashes\n" +
		"warning: the pid file cannot be written: open /var/run/knockd.pid: read-only file system\n"
	if status != 0 || stdout != "" || stderr != want {
		t.Errorf("status %d\n%s%swant\n%s", status, stdout, stderr, want)
	}
	syn(t, client, nettest.Client4, nettest.Server4, "25565")
	pid := pidIn(t, dir+"/opened")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(dir + "/log")
	if !strings.Contains(string(text), "] warning: the pid file cannot be written: ") {
		t.Errorf("log:\n%s", text)
	}
}

// bearing gives a program a capability: VFS_CAP_REVISION_2 of the kernel's
// capability.h.
func bearing(t *testing.T, path string, capability int) {
	t.Helper()
	const revision2, effective = 0x02000000, 1
	data := binary.LittleEndian.AppendUint32(nil, revision2|effective)
	data = binary.LittleEndian.AppendUint32(data, 1<<capability)
	data = append(data, make([]byte, 12)...)
	if err := unix.Setxattr(path, "security.capability", data, 0); err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("capabilities of files in %s: %v", path, err))
	}
}

func chown(t *testing.T, path string, uid int) {
	t.Helper()
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
}

// pidIn waits for a file that holds a process id. The process is ended with the
// test.
func pidIn(t *testing.T, path string) (pid int) {
	t.Helper()
	nettest.Eventually(t, "a process id in "+path, func() bool {
		text, _ := os.ReadFile(path)
		n, err := fmt.Sscanln(string(text), &pid)
		return n == 1 && err == nil && pid > 1
	})
	t.Cleanup(func() {
		if syscall.Kill(pid, 0) == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pid
}

// TestDaemonSays: what -d finds out before it goes to the background is said on
// standard error, beside the log.
func TestDaemonSays(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, iface, pid, log, stderr string }{
		{"no interface", "eth7", dir + "/pid", dir + "/log", "waiting for interface eth7\n"},
		{"no interface nor log", "eth7", dir + "/pid", "", "starting up\nwaiting for interface eth7\n"},
		{"a pid file nowhere", "lo", dir + "/no/such/pid", dir + "/log",
			"warning: the pid file cannot be written: open " + dir + "/no/such/pid: no such file or directory\n"},
		{"a pipe for a pid file", "lo", dir + "/pipe", dir + "/log",
			"warning: the pid file cannot be written: " + dir + "/pipe: not a regular file\n"},
	} {
		conf := dir + "/" + strings.ReplaceAll(c.name, " ", "-")
		nettest.Write(t, conf, "[options]\nStateDir = "+dir+"/state\n[a]\nsequence = 7000\ncommand = true\n")
		args := []string{"-d", "-i", c.iface, "-c", conf, "-p", c.pid}
		if c.log != "" {
			args = append(args, "-g", c.log)
		}
		status, stdout, stderr := outcome(t, h, program(t, "knockd"), args...)
		if status != 0 || stdout != "" || stderr != c.stderr {
			t.Errorf("%s: status %d\n%s%swant\n%s", c.name, status, stdout, stderr, c.stderr)
		}
		pid := lockedBy(t, dir+"/state", conf)
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Error(c.name, err)
		}
	}
}

// lockedBy is the process that has the journal of a configuration.
func lockedBy(t *testing.T, state, conf string) int {
	t.Helper()
	list, err := os.ReadDir(state)
	if err != nil {
		t.Fatal(err)
	}
	base := strings.ReplaceAll(conf[strings.LastIndex(conf, "/")+1:], "-", "%2D")
	i := slices.IndexFunc(list, func(e os.DirEntry) bool {
		return strings.Contains(e.Name(), base+"@") && strings.HasSuffix(e.Name(), ".lock")
	})
	if i < 0 {
		t.Fatalf("%s has no lock in %v", conf, list)
	}
	return pidIn(t, state+"/"+list[i].Name())
}

// handed are a configuration, a log, and a pipe that nothing names: what the
// daemon was given open, as 3 to 5.
func handed(t *testing.T, conf, log string) (files []*os.File, pipe *os.File) {
	t.Helper()
	c, err := os.Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	l, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return []*os.File{c, l, w}, r
}

// TestInherited: what whoever starts the daemon has open serves the daemon
// under its name in /dev/fd, in the background too, and reaches no command. In
// the background none of it is kept.
func TestInherited(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	for i, args := range [][]string{nil, {"-d"}} {
		dir := t.TempDir()
		port := fmt.Sprint(7000 + i)
		nettest.Write(t, dir+"/conf", "[options]\nLogFile = /dev/fd/4\nStateDir = "+dir+"/state\n[a]\nsequence = "+port+
			"\ncommand = ls -l /proc/self/fd > "+dir+"/fds; echo $PPID > "+dir+"/pid\n")
		files, pipe := handed(t, dir+"/conf", dir+"/log")
		cmd := exec.Command(program(t, "knockd"), slices.Concat(args, []string{"-c", "/dev/fd/3", "-p", dir + "/pidfile"})...)
		cmd.ExtraFiles = files
		d := &daemon{t: t, log: dir + "/log", done: make(chan struct{})}
		d.run(server, cmd)
		for _, f := range files {
			f.Close()
		}
		d.waitFor("starting up, listening on eth0", 1)
		pidIn(t, dir+"/state/dev-fd-3.lock")
		if args != nil {
			pipe.SetReadDeadline(time.Now().Add(nettest.Patience))
			if _, err := pipe.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("reading the pipe: %v, want its end", err)
			}
		}
		syn(t, client, nettest.Client4, nettest.Server4, port)
		pid := pidIn(t, dir+"/pid")
		list, err := os.ReadFile(dir + "/fds")
		if err != nil {
			t.Fatal(err)
		}
		// 3 is the directory that ls reads.
		if regexp.MustCompile(`(?m) (\d{2,}|[4-9]) -> | 3 -> (pipe|.*log|.*conf)`).Match(list) {
			t.Errorf("%v: a command got:\n%s", args, list)
		}
		syscall.Kill(pid, syscall.SIGTERM)
		d.waitFor("shutting down", 1)
	}
}

// TestNoCore: a crash leaves no core dump of the daemon or the client, whatever
// the limit and GOTRACEBACK say; what a command leaves is its own affair.
func TestNoCore(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := t.TempDir()
	control := exec.Command("sh", "-c", "ulimit -c unlimited && kill -ABRT $$")
	control.Dir = dir
	control.Run()
	if !control.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		nettest.LacksKernel(t, "core dumps, or their limit is 0")
	}
	nettest.Write(t, dir+"/conf", "[options]\nLogFile = "+dir+"/log\nStateDir = "+dir+"/state\n[a]\nsequence = 7000,8000\n"+
		"seq_timeout = 3600\n[b]\nsequence = 9000\ncommand = ulimit -c > "+dir+"/opened\n")
	crashing := func(h *nettest.Host, name, args string) *daemon {
		return prepareCommand(t, h, dir+"/log", "sh", "-c",
			"cd "+dir+" && ulimit -c unlimited && GOTRACEBACK=crash exec "+program(t, name)+args)
	}
	knockd := crashing(server, "knockd", " -c "+dir+"/conf")
	knockd.waitFor("starting up, listening on eth0", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "9000")
	nettest.Eventually(t, "the command's own limit", func() bool {
		text, _ := os.ReadFile(dir + "/opened")
		return string(text) == "unlimited\n"
	})
	knock := crashing(client, "knock", " -d 3600000 "+nettest.Server4+" 7000 8000")
	knockd.waitFor("a: Stage 1", 1)
	for _, p := range []*daemon{knock, knockd} {
		p.cmd.Process.Signal(syscall.SIGABRT)
		<-p.done
		status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGABRT || status.CoreDump() {
			t.Errorf("%s: ended: %v, want SIGABRT without a core dump", p.cmd, p.cmd.ProcessState)
		}
	}
}
