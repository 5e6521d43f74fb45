package livetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/control/show"
	"knockd/internal/nettest"
)

// Somebody who is not root, and a group that there is everywhere.
const (
	userNobody = 65534
	groupGames = 60
)

// place returns a directory that everybody can enter, with programs that
// everybody can run.
func place(t *testing.T, programs ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "knockd-place-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range programs {
		copyProgram(t, program(t, name), filepath.Join(dir, name))
	}
	return dir
}

// asReader has a command run as a member of the group of readers.
func asReader(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: userNobody, Gid: userNobody, Groups: []uint32{groupGames}}}
	cmd.Dir = "/"
	return cmd
}

// said is what a command says on standard output.
func said(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	secrets.check(t, cmd.String(), string(out)+stderr.String())
	return string(out)
}

// hitsOf is what an admin is told of hits.
func hitsOf(t *testing.T, socket string) control.Hits {
	t.Helper()
	c, err := client.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := client.Call[control.StatusReply](t.Context(), c, control.MethodStatus, struct{}{})
	if err != nil || s.Hits == nil {
		t.Fatalf("status: %v, %+v", err, s)
	}
	return *s.Hits
}

// reading is a program that prints, until the test's end.
type reading struct {
	cmd *exec.Cmd
	out syncBuffer
}

func startReading(t *testing.T, h *nettest.Host, cmd *exec.Cmd) *reading {
	t.Helper()
	r := &reading{cmd: cmd}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	return r
}

// end ends it, and returns what it has printed.
func (r *reading) end(t *testing.T) string {
	t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", r.cmd, err, r.out.String())
	}
	return r.out.String()
}

// TestReaderFindsNoStep: a reader who knocks at all ports, and compares all that
// he may read before and after, finds no step of any door; an admin sees each. It
// is not run beside others: it would starve those whose doors are open for seconds.
func TestReaderFindsNoStep(t *testing.T) {
	nettest.NeedRealRoot(t)
	knocker, server := nettest.Pair(t)
	dir := place(t, "knockctl")
	socket, knockctl := filepath.Join(dir, "control"), filepath.Join(dir, "knockctl")
	const honest = "10.7.0.66"
	knocker.AddAddress("eth0", honest+"/24")
	d := start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	ControlSocket = %s
	ControlGroup = %d
	MaxAttempts = 3
	max_failures = 2 / 60s, 10s
	never_ignore = 10.7.0.66
[ssh]
	sequence = 21001,43007:udp,52311
	seq_timeout = 2
	open = tcp/22
	cmd_timeout = 2
[strict]
	sequence = 11003:udp,60999:udp
	seq_timeout = 1
	strict = yes
	command = true
`, socket, groupGames))
	// What changes by itself, with time alone.
	unsteady := regexp.MustCompile(`(running|listening): .*`)
	masks := func(text string) string { return unsteady.ReplaceAllString(text, "X") }
	ask := func() (all string) {
		for _, args := range [][]string{{"status", "--json"}, {"status"}, {"history", "--json"}, {"doors"}, {"doors", "--json"}} {
			all += masks(said(t, asReader(exec.Command(knockctl, append(args, "--socket", socket)...)))) + "\n"
		}
		return all
	}
	watch := startReading(t, server, asReader(exec.Command(knockctl, "watch", "--json", "--socket", socket)))
	nettest.Eventually(t, "somebody watches", func() bool {
		return strings.Contains(said(t, exec.Command(knockctl, "status", "--socket", socket)), "knockd")
	})
	before, hits := ask(), control.Hits{}
	const atOnce = 8192
	found := 0
	for first := 1; first <= 65535; first += atOnce {
		ports := min(atOnce, 65536-first)
		syn(t, knocker, honest, nettest.Server4, "21001") // somebody else is on the way
		hits = hitsOf(t, socket)
		forge(t, knocker, server, 2*ports, 20_000, func(i int) []byte {
			if port := uint16(first + i/2); i%2 == 0 {
				return synPacket(strangers+uint32(first), port, uint32(i))
			} else {
				return udpPacket(strangers+uint32(first), port, []byte("x"))
			}
		})
		settled(d.cmd.Process.Pid, nettest.Patience)
		if now := ask(); now != before {
			t.Errorf("ports from %d on: a reader sees\n%s\nbefore\n%s", first, now, before)
		}
		if now := hitsOf(t, socket); now != hits {
			found++
		}
	}
	if found < 2 { // the first steps of both doors
		t.Errorf("an admin sees something %d times: the test would find nothing", found)
	}
	time.Sleep(2 * time.Second)
	syn(t, knocker, honest, nettest.Server4, "21001", "43007:udp", "52311")
	d.waitFor(honest+": ssh: OPEN SESAME", 1)
	d.waitFor("ssh: closed for "+honest, 1)
	nettest.Eventually(t, "the end is told", func() bool { return strings.Contains(watch.out.String(), `"kind":"closed"`) })
	var kinds []string
	for line := range strings.Lines(watch.end(t)) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if kinds = append(kinds, string(e.Kind)); e.Stage != 0 || strings.Contains(line, "tage") {
			t.Errorf("a reader is told %s", line)
		}
	}
	if want := []string{"admitted", "opened", "closed"}; !slices.Equal(kinds, want) {
		t.Errorf("a reader is told %q, want %q", kinds, want)
	}
	if got := ask(); got == before || !strings.Contains(got, honest) {
		t.Errorf("who was let in is not told:\n%s", got)
	}
}

// TestStatusUnderFlood: during a flood of first knocks, with thousands of doors
// open, somebody who watches and somebody who asks, all honest knocks open, and
// status answers. With KNOCKD_LONG=1 the flood is as fast as can be, 9,000 doors
// are open, and the answers are timed.
func TestStatusUnderFlood(t *testing.T) {
	nettest.NeedRealRoot(t)
	held, rate, seconds := 300, 5_000, 4
	if long {
		nettest.NeedProgram(t, "tcpreplay")
		held, rate, seconds = 9_000, 0, 15
	}
	knocker, server := nettest.Pair(t)
	dir := place(t, "knockctl")
	socket, knockctl := filepath.Join(dir, "control"), filepath.Join(dir, "knockctl")
	d := start(t, server, `[options]
	logfile = LOG
	ControlSocket = `+socket+`
[door]
	sequence = 7000,8000,9000
	seq_timeout = 5
	tcpflags = syn
	command = echo %IP% >> DIR/opened
[held]
	sequence = 7100,8100,9100
	tcpflags = syn
	open = tcp/22
	cmd_timeout = 600
`)
	forge(t, knocker, server, 3*held, 6_000, func(i int) []byte {
		return synPacket(strangers+1<<23+uint32(i/3), uint16(7100+1000*(i%3)), uint32(i))
	})
	d.waitFor("held: OPEN SESAME", held)
	settled(d.cmd.Process.Pid, nettest.Patience)
	watch := startReading(t, server, exec.Command(knockctl, "watch", "--json", "--socket", socket))
	explained := explainLive(t, socket)
	before := cpuOf(d.cmd.Process.Pid)
	var flood sync.WaitGroup
	flood.Go(func() {
		if rate == 0 {
			s := replay(t, knocker, firstKnocks(t, knocker, server), 0, seconds)
			t.Logf("%.0f packets, %.0f a second", s.packets, s.rate)
			return
		}
		forge(t, knocker, server, rate*seconds, rate, func(i int) []byte { return synPacket(strangers+uint32(i), 7000, uint32(i)) })
	})
	time.Sleep(time.Second)
	knocks := 20
	var knocking sync.WaitGroup
	knocking.Go(func() {
		for range knocks {
			next := time.Now().Add(time.Duration(seconds-2) * time.Second / time.Duration(knocks))
			knock(t, knocker, nettest.Server4, "7000,8000,9000")
			time.Sleep(time.Until(next))
		}
	})
	var took []time.Duration
	for range 20 {
		begin := time.Now()
		out, err := exec.Command(knockctl, "status", "--socket", socket).CombinedOutput()
		took = append(took, time.Since(begin))
		if err != nil {
			t.Fatalf("status: %v\n%s", err, out)
		}
		if !strings.Contains(string(out), "currently open: "+strconv.Itoa(held)) {
			t.Errorf("status says\n%s", out)
		}
		time.Sleep(100 * time.Millisecond)
	}
	knocking.Wait()
	flood.Wait()
	nettest.Eventually(t, "all honest knocks open", func() bool { return d.openedFor(nettest.Client4) >= knocks })
	slices.Sort(took)
	t.Logf("status took %v in the median, %v at most; the daemon %.1f s of CPU time, %.1f MiB at most", took[len(took)/2], took[len(took)-1],
		(cpuOf(d.cmd.Process.Pid) - before).Seconds(), memoryOf(d.cmd.Process.Pid, "VmHWM"))
	if long && took[len(took)/2] > 200*time.Millisecond {
		t.Errorf("status took %v in the median", took[len(took)/2])
	}
	o := show.Overview{}
	if err := json.Unmarshal([]byte(said(t, exec.Command(knockctl, "status", "--json", "--socket", socket))), &o); err != nil || len(o.Openings) < held {
		t.Errorf("%d openings, %v", len(o.Openings), err)
	}
	text := watch.end(t)
	if n := strings.Count(text, `"kind":"admitted","text":"`+nettest.Client4); n < knocks && !strings.Contains(text, `{"lost":`) {
		t.Errorf("%d of %d openings were told to who watches", n, knocks)
	}
	packets, missed := explained()
	if t.Logf("%d packets explained, %d more seen", packets, missed); packets == 0 {
		t.Error("no packet was explained")
	}
}

// explainLive asks what packets do, until the result is called, which returns how
// many were explained, and how many were not.
func explainLive(t *testing.T, socket string) (end func() (packets, missed int)) {
	t.Helper()
	c, err := client.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var packets, missed int
	done, begun := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		done <- client.Each(ctx, c, control.MethodExplain, control.Selection{}, func(r control.ExplainReply) error {
			packets, missed = packets+len(r.Packets), missed+r.Missed
			select {
			case begun <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatal("explain: ", err)
	}
	return func() (int, int) {
		cancel()
		<-done
		c.Close()
		return packets, missed
	}
}
