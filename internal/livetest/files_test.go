package livetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

func mkfifo(t *testing.T, path string) string {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLogToStdout: in a container the log goes to standard output, a pipe. It
// goes on after SIGHUP, and so do the doors when nobody reads it any more.
func TestLogToStdout(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := prepare(t, server, "true", strings.Replace(countDoor("7000:udp", "cmd_timeout = 1\n\tstop_command = true"), "LOG", "/dev/stdout", 1))
	<-d.done
	d.done = make(chan struct{})
	cmd := exec.Command(program(t, "knockd"), "-c", d.conf)
	cmd.Stdout = w
	d.run(server, cmd)
	w.Close()
	lines := bufio.NewScanner(r)
	waitFor := func(text string) {
		t.Helper()
		r.SetReadDeadline(time.Now().Add(nettest.Patience))
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("no line says %q: %v", text, lines.Err())
	}
	waitFor("] starting up, listening on eth0")
	d.cmd.Process.Signal(syscall.SIGHUP)
	waitFor("] re-reading config file: ")
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	waitFor("] 10.7.0.1: door: OPEN SESAME")
	d.opensFor(nettest.Client4)
	r.Close()
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	d.opensFor(nettest.Client4, nettest.Client4)
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestLogUnread: a log that is a pipe without a reader is a warning, and holds up
// neither the start nor SIGHUP, the doors or SIGTERM. Who reads later on gets the
// lines from then on, and how many were lost.
func TestLogUnread(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	fifo := mkfifo(t, t.TempDir()+"/log")
	conf := strings.Replace(countDoor("7000:udp", ""), "LOG", fifo, 1)
	d := prepare(t, server, program(t, "knockd"), conf)
	warning := "log file " + fifo + ": nobody reads the pipe"
	nettest.Eventually(t, "a warning", func() bool { return strings.Contains(d.output.String(), "knockd: warning: "+warning) })
	nettest.Eventually(t, "an opening", func() bool {
		syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
		return len(d.opened()) > 0
	})
	n := len(d.opened())
	d.configure(strings.ReplaceAll(conf, "7000", "7001"))
	d.cmd.Process.Signal(syscall.SIGHUP)
	nettest.Eventually(t, "an opening by the new configuration", func() bool {
		syn(t, client, nettest.Client4, nettest.Server4, "7001:udp")
		return len(d.opened()) > n
	})
	r, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got strings.Builder
	nettest.Eventually(t, "lines in the log, and how many were lost", func() bool {
		syn(t, client, nettest.Client4, nettest.Server4, "7001:udp")
		r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		buf := make([]byte, 1<<16)
		n, _ := r.Read(buf)
		got.Write(buf[:n])
		return strings.Contains(got.String(), " lines lost: nobody reads the pipe\n") && strings.Contains(got.String(), "OPEN SESAME\n")
	})
	// Nobody takes what there is to say now.
	for range 2000 {
		syn(t, client, nettest.Client4, nettest.Server4, "7001:udp")
		if full(t, r) {
			break
		}
	}
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
}

// full reports whether a pipe holds as much as it can, or nearly.
func full(t *testing.T, r *os.File) bool {
	t.Helper()
	n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n > 60_000
}

// TestPipesAsFiles: a pipe in the place of a file is refused, not waited for,
// unless it is the program's own.
func TestPipesAsFiles(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	fifo, oneTime, keys := mkfifo(t, dir+"/fifo"), dir+"/onetime.conf", dir+"/spa.conf"
	options := "[options]\nStateDir = " + dir + "/state\n"
	nettest.Write(t, oneTime, options+"[a]\none_time_sequences = "+fifo+"\n")
	nettest.Write(t, dir+"/zero.conf", options+"[a]\none_time_sequences = "+dir+"/zero\n")
	nettest.Write(t, keys, options+"[a]\nspa_key_file = "+fifo+"\nopen = tcp/22\n")
	if err := os.Symlink("/dev/zero", dir+"/zero"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"-t", "-i lo"} {
		for conf, want := range map[string]string{
			fifo:               "knockd: read configuration: " + fifo + ": not a regular file\nknockd: hint: ...",
			oneTime:            oneTime + ":3: [a] one_time_sequences: " + fifo + ": not a regular file\n",
			dir + "/zero.conf": dir + "/zero.conf:3: [a] one_time_sequences: " + dir + "/zero: not a regular file\n",
			keys:               keys + ":3: [a] spa_key_file: " + fifo + ": not a regular file\n",
		} {
			args := append([]string{"60", program(t, "knockd"), "-c", conf}, strings.Fields(mode)...)
			status, stdout, stderr := outcome(t, h, "timeout", args...)
			if status != 1 || stdout != "" || !like(want, stderr) {
				t.Errorf("knockd %s -c %s: status %d\n%s%swant\n%s", mode, conf, status, stdout, stderr, want)
			}
		}
	}
}

// TestReadEnds: a signal ends --read, though its capture is a pipe that says
// nothing.
func TestReadEnds(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	nettest.Write(t, dir+"/knockd.conf", "[a]\nsequence = 7000\n")
	fifo := mkfifo(t, dir+"/fifo")
	w, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(program(t, "knockd"), "-r", fifo, "--address", "10.7.0.2", "-c", dir+"/knockd.conf")
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "the pipe open", func() bool {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", cmd.Process.Pid))
		return slices.ContainsFunc(fds, func(fd string) bool {
			to, _ := os.Readlink(fd)
			return to == fifo
		})
	})
	cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(nettest.Patience):
		cmd.Process.Kill()
		t.Error("it did not end")
	}
}

// TestOwnPipeAsConfiguration: what the shell makes of <(...), and standard input.
func TestOwnPipeAsConfiguration(t *testing.T) {
	nettest.NeedProgram(t, "bash")
	t.Parallel()
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	nettest.Write(t, dir+"/text", "[options]\nStateDir = "+dir+"/state\n[a]\nsequence = 17301:udp,24410:udp,19102:udp\ncommand = true\n")
	for _, line := range []string{
		"KNOCKD -t -i lo -c <(cat DIR/text)",
		"KNOCKD -t -i lo -c <(sleep 1; cat DIR/text)",
		"cat DIR/text | KNOCKD -t -i lo -c /dev/stdin",
		"KNOCKD -t -i lo -c /dev/stdin <DIR/text",
		"exec 9<DIR/text; KNOCKD -t -i lo -c /dev/fd/9",
	} {
		status, stdout, stderr := outcome(t, h, "timeout", "60", "bash", "-c", strings.NewReplacer("KNOCKD", program(t, "knockd"), "DIR", dir).Replace(line))
		if status != 0 || !strings.HasSuffix(stdout, ": 1 door, no faults\n") || stderr != "" {
			t.Errorf("%s: status %d\n%s%s", line, status, stdout, stderr)
		}
	}
}

// TestDeadDisk: the log file, a file of one-time sequences or the configuration
// is on a disk that stops to answer: knocks at other doors open, each SIGHUP has
// an answer, and SIGTERM ends the daemon.
func TestDeadDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, conf, want string }{
		{"log", "[options]\n\tlogfile = DIR/dead/log\n", "open log file: open DIR/dead/log: no answer in time"},
		{"one-time file", "[options]\n\tlogfile = LOG\n[mail]\n\tone_time_sequences = DIR/dead/lines\n",
			"[mail] one_time_sequences: open DIR/dead/lines: no answer in time"},
		{"keys", "[options]\n\tlogfile = LOG\n[spa]\n\tspa_key_file = DIR/dead/keys\n\topen = tcp/22\n",
			"[spa] spa_key_file: read key file: open DIR/dead/keys: no answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			d := start(t, server, countDoor("7000:udp", "cmd_timeout = 1\n\tstop_command = true"))
			nettest.DeadMount(t, d.file("dead"))
			_, door, _ := strings.Cut(countDoor("7000:udp", "cmd_timeout = 1\n\tstop_command = true"), "\n[")
			d.configure(c.conf + "[" + door)
			want := strings.ReplaceAll(c.want, "DIR", filepath.Dir(d.log))
			for n := 1; n <= 3; n++ {
				d.reload(n)
				before := len(d.opened())
				syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
				nettest.Eventually(t, "an opening while the disk is waited for", func() bool { return len(d.opened()) > before })
				d.waitFor(want, n)
				if threads := states(t, d.cmd.Process.Pid); len(threads) > 40 || threads[0] == "D" {
					t.Errorf("state of the threads: %q; the first must be free to handle signals", threads)
				}
			}
			d.cmd.Process.Signal(syscall.SIGHUP)
			if status := d.stop(syscall.SIGTERM); status != 0 {
				t.Errorf("status %d", status)
			}
		})
	}
}

// states are those of a process's threads, the first one first.
func states(t *testing.T, pid int) (states []string) {
	t.Helper()
	list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(list) == 0 {
		t.Fatal("no threads", err)
	}
	for _, file := range append([]string{fmt.Sprintf("/proc/%d/stat", pid)}, list...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(text), ") ")
		states = append(states, after[:1])
	}
	return states
}

// TestCloseAllBelieves: --close-all and --cleanup obey no drop-in that the daemon
// refuses, and make nothing.
func TestCloseAllBelieves(t *testing.T) {
	nettest.NeedRealRoot(t)
	t.Parallel()
	h := nettest.NewHost(t, "h")
	for name, c := range map[string]struct {
		make func(path, text string) error
		want string
	}{
		"of another": {func(path, text string) error {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
			return os.Chown(path, nobody, nobody)
		}, "belongs to user 65534: must belong to root"},
		"a pipe":              {func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }, "must be a plain file"},
		"a link to /dev/zero": {func(path, _ string) error { return os.Symlink("/dev/zero", path) }, "must be a plain file"},
	} {
		dir := t.TempDir()
		conf, dropIn := dir+"/knockd.conf", dir+"/knockd.conf.d/x.conf"
		nettest.Write(t, conf, "[options]\nStateDir = "+dir+"/mine\n[a]\nsequence = 7000\n")
		if err := os.Mkdir(conf+".d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.make(dropIn, "[options]\nStateDir = "+dir+"/theirs\n"); err != nil {
			t.Fatal(err)
		}
		for _, option := range []string{"--close-all", "--cleanup"} {
			status, _, stderr := outcome(t, h, "timeout", "60", program(t, "knockd"), option, "-c", conf)
			if want := "knockd: warning: " + dropIn + ": " + c.want + "\n"; status != 0 || stderr != want {
				t.Errorf("%s: knockd %s: status %d\n%swant\n%s", name, option, status, stderr, want)
			}
		}
		for _, made := range []string{"/mine", "/theirs"} {
			if _, err := os.Lstat(dir + made); err == nil {
				t.Errorf("%s: %s was made", name, made)
			}
		}
	}
}

// TestOneTimeHeld: a local user who may read a file of one-time sequences and
// holds its lock keeps its door shut, and is named in the log; all else goes on.
func TestOneTimeHeld(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, oneTime+"[other]\n\tsequence = 7000:udp\n\tstart_command = echo other >> DIR/opened\n")
	held, err := os.Open(d.file("sequences"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	knock := func() { syn(t, client, nettest.Client4, nettest.Server4, "1111:udp", "2222", "3333:udp") }
	knock()
	d.waitFor("opencloseSMTP: not opened: mark the sequence as used: lock "+d.file("sequences")+": somebody else holds it", 1)
	d.sequencesAre(oneTimeLines)
	knock() // waits for the lock, and so does the reload
	d.reload(1)
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	d.opensFor("other")
	d.configure(strings.Replace(oneTime, "opencloseSMTP", "renamed", 1))
	d.reload(2)
	nettest.Eventually(t, "the new configuration in use", func() bool {
		knock()
		return strings.Contains(d.text(), "renamed: Stage 1")
	})
	knock()
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
	d.lacks("opencloseSMTP: running command")
	d.sequencesAre(oneTimeLines)
}
