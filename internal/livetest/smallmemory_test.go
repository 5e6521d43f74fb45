package livetest

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestSmallMemory: with the memory of a small router, 32 MiB, a flood of first
// knocks at full speed, at a native door and at one with commands, neither ends
// the daemon nor keeps anybody else out. With KNOCKD_LONG=1 for a minute.
func TestSmallMemory(t *testing.T) {
	nettest.NeedRealRoot(t)
	const knocks, memory = 20, 32 << 20
	seconds := 6
	if long {
		seconds = 60
	}
	group, limit := controlGroup(t, "memory", "memory.max", "memory.limit_in_bytes")
	nettest.Write(t, limit, strconv.Itoa(memory))
	client, server := nettest.Pair(t)
	d := prepare(t, server, limited(t, server, "echo $$ > "+group+"/cgroup.procs"), `[options]
	logfile = LOG
	StateDir = DIR
[native]
	sequence = 7000,8000,9000
	seq_timeout = 2
	open = tcp/22
	cmd_timeout = 2
[commands]
	sequence = 7100,8100,9100
	seq_timeout = 2
	start_command = echo opened %IP% >> DIR/opened
	cmd_timeout = 2
	stop_command = echo closed %IP% >> DIR/opened
`)
	d.waitFor("starting up, listening on", 1)
	began := time.Now()
	stop := synFlood(t, client, server, 7000)
	pause := time.Duration(seconds) * time.Second / (knocks + 1)
	time.Sleep(pause)
	opened := 0
	for n := range knocks {
		next := time.Now().Add(pause)
		steps, door := []string{"7000", "8000", "9000"}, "native"
		if n%2 == 1 {
			steps, door = []string{"7100", "8100", "9100"}, "commands"
		}
		before := countIn(d.log, nettest.Client4+": "+door+": OPEN SESAME")
		syn(t, client, nettest.Client4, nettest.Server4, steps...)
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if countIn(d.log, nettest.Client4+": "+door+": OPEN SESAME") > before {
				opened++
				break
			}
		}
		time.Sleep(time.Until(next))
	}
	sent, took := stop(), time.Since(began)
	if sent < 20_000 {
		t.Errorf("only %d packets: no flood", sent)
	}
	pid := d.cmd.Process.Pid
	t.Logf("%d of %d knocks during %d packets, %.0f a second; resident at most %.1f MiB, anonymous at the end %.1f MiB; the kernel dropped %.0f packets",
		opened, knocks, sent, float64(sent)/took.Seconds(), memoryOf(pid, "VmHWM"), memoryOf(pid, "RssAnon"), droppedBy(d.log))
	// A machine that is busy with other tests may not run the daemon for so long that
	// the kernel has to drop packets, those of honest people among them.
	if opened < knocks && (long || droppedBy(d.log) == 0) {
		t.Errorf("%d of %d knocks opened", opened, knocks)
	}
	d.lacks("not opened")
	d.waitFor("MaxAttempts (32768) reached", 1)

	if n := killedFor(t, group); n != 0 {
		t.Errorf("the kernel has killed %d processes for want of memory", n)
	}
	d.stop(syscall.SIGTERM)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

var oomKills = regexp.MustCompile(`(?m)^oom_kill (\d+)$`)

// killedFor is how many processes of a control group the kernel has killed for want
// of memory.
func killedFor(t *testing.T, group string) int {
	t.Helper()
	for _, name := range []string{"/memory.events", "/memory.oom_control"} {
		text, err := os.ReadFile(group + name)
		if err != nil {
			continue
		}
		if m := oomKills.FindStringSubmatch(string(text)); m != nil {
			n, _ := strconv.Atoi(m[1])
			return n
		}
		t.Logf("%s: %s", name, strings.TrimSpace(string(text)))
	}
	return 0
}
