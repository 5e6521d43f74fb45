package openings

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/action/command"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/openings/journal"
)

// childEnv says what a re-executed test binary does in place of tests: "open",
// "wait" or "closeall", then the journal's directory and name, the first number
// and whether there is iptables.
const childEnv = "DOORS_TEST_CHILD"

func TestMain(m *testing.M) {
	nettest.Umask()
	if what := os.Getenv(childEnv); what != "" {
		os.Unsetenv(childEnv)
		child(strings.Fields(what))
		return
	}
	os.Exit(m.Run())
}

// child is a small daemon that is going to be killed.
func child(arg []string) {
	dir, name := arg[1], arg[2]
	first, _ := strconv.Atoi(arg[3])
	var j *journal.Journal
	for {
		var err error
		if j, err = journal.Open(dir, name); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	o := Options{Actions: map[string]Action{"command": command.Action{}}, Log: discard{}, Journal: j}
	if arg[0] == "closeall" {
		if _, left := CloseAll(context.Background(), j, o); left > 0 {
			os.Exit(3)
		}
		return
	}
	m := New(o)
	m.Adopt()
	if arg[0] == "wait" {
		for m.Pending() > 0 {
			time.Sleep(5 * time.Millisecond)
		}
		m.Shutdown(context.Background())
		return
	}
	for n := first; ; n++ {
		m.Open(numbered(dir, n, arg[4] == "true"), nil)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
}

type discard struct{}

func (discard) Event(event.Event) {}

// numbered is an opening that leaves its number in a file, and a real rule.
//
// Status 1 of iptables, that there is no such rule, is none of the stop: else
// it would be tried again, and that takes its time.
func numbered(dir string, n int, iptables bool) knock.Opening {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	rule, unrule := "", "true"
	if iptables {
		rule = fmt.Sprintf("iptables -w -A INPUT -s %s -p tcp --dport 22 -j ACCEPT; ", addr)
		unrule = fmt.Sprintf("iptables -w -D INPUT -s %s -p tcp --dport 22 -j ACCEPT", addr)
	}
	pause := fmt.Sprintf("sleep 0.%03d; ", rand.IntN(60))
	return knock.Opening{
		Door: knock.DoorID{Name: "door"}, Addr: addr, Timeout: time.Duration(rand.IntN(400)) * time.Millisecond,
		Action: "command", Args: knock.Arguments{Start: fmt.Sprintf("%s%secho start %d >> %s/out", pause, rule, n, dir),
			Stop: fmt.Sprintf("%s%s 2>/dev/null; s=$?; echo stop %d >> %s/out; test $s = 1 || exit $s", pause, unrule, n, dir)},
	}
}

// TestKilled kills a daemon at random moments, with its commands and without,
// then lets a last one finish: no door is left open.
func TestKilled(t *testing.T) {
	for _, last := range []string{"wait", "closeall"} {
		t.Run(last, func(t *testing.T) {
			k := &killer{t: t, dir: t.TempDir(), name: fmt.Sprintf("kill-%d-%s", os.Getpid(), last)}
			if k.iptables = hasIptables(t); k.iptables {
				inOwnNetwork(t, func() { k.run(last) })
			} else {
				k.run(last)
			}
		})
	}
}

type killer struct {
	t         *testing.T
	dir, name string
	iptables  bool
}

// hasIptables says what is missing for real rules.
func hasIptables(t *testing.T) bool {
	_, err := nettest.FindProgram("iptables")
	if err == nil && nettest.RealRoot() {
		return true
	}
	if nettest.Strict() {
		nettest.NeedRealRoot(t)
		nettest.NeedProgram(t, "iptables")
	}
	t.Log("without iptables rules: they need root and the package iptables")
	return false
}

// inOwnNetwork calls f on a thread, and so starts its children, in a network
// namespace of their own.
func inOwnNetwork(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("network namespace: %v", err)
			return
		}
		f()
	}()
	<-done
}

func (k *killer) run(last string) {
	begin := time.Now()
	for n := 0; k.starts() < 200 && time.Since(begin) < 3*time.Minute; n += 1000 {
		k.round(n, rand.IntN(2) == 0)
	}
	k.last(last)
	k.check()
}

func (k *killer) start(what string, first int) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d %v", childEnv, what, k.dir, k.name, first, k.iptables))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		k.t.Error(err)
	}
	return cmd
}

// round lets a daemon open doors for a random time and kills it.
func (k *killer) round(first int, commands bool) {
	cmd := k.start("open", first)
	time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for commands && k.killCommands() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// killCommands kills the commands that the daemon has left running.
func (k *killer) killCommands() (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		env, err := os.ReadFile(file)
		if err == nil && bytes.Contains(env, []byte("KNOCK_OPENING="+k.name)) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}

func (k *killer) last(what string) {
	cmd := k.start(what, 0)
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	if err := cmd.Wait(); err != nil {
		k.t.Errorf("last %s: %v", what, err)
	}
}

func (k *killer) lines() []string {
	text, _ := os.ReadFile(filepath.Join(k.dir, "out"))
	return strings.Split(string(text), "\n")
}

func (k *killer) starts() (n int) {
	for _, line := range k.lines() {
		if strings.HasPrefix(line, "start") {
			n++
		}
	}
	return n
}

func (k *killer) check() {
	open := map[string]bool{}
	for _, line := range k.lines() {
		word, n, _ := strings.Cut(line, " ")
		open[n] = word == "start"
	}
	for n, isOpen := range open {
		if isOpen {
			k.t.Errorf("%s is open", n)
		}
	}
	if n := k.starts(); n < 200 {
		k.t.Errorf("only %d openings", n)
	}
	if k.iptables {
		rules, err := exec.Command("iptables", "-w", "-S", "INPUT").Output()
		if err != nil || strings.Count(string(rules), "\n") != 1 {
			k.t.Errorf("rules left (%v):\n%s", err, rules)
		}
	}
}
