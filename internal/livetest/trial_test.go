package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// trialSite is a host where knockctl tries out configurations.
type trialSite struct {
	t              *testing.T
	client, server *nettest.Host
	dir            string
}

func newTrialSite(t *testing.T) *trialSite {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	client, server := openSite(t)
	dir, err := os.MkdirTemp("", "knockd") // a socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	s := &trialSite{t, client, server, dir}
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(dir)
	})
	return s
}

// configure writes a configuration with one door.
func (s *trialSite) configure(port int) {
	s.t.Helper()
	nettest.Write(s.t, s.dir+"/k.conf", fmt.Sprintf(`[options]
	LogFile       = %[1]s/log
	PidFile       = %[1]s/pid
	StateDir      = %[1]s/state
	ControlSocket = %[1]s/control
	Interface     = eth0
[ssh]
	sequence    = 7000,8000:udp
	cmd_timeout = 5
	open        = tcp/%[2]d
`, s.dir, port))
}

func (s *trialSite) pid() int {
	text, _ := os.ReadFile(s.dir + "/pid")
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// kill kills the daemon, which can do nothing about it.
func (s *trialSite) kill() {
	pid := s.pid()
	if pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil {
		nettest.Eventually(s.t, "the daemon is gone", func() bool { return gone(pid) })
	}
}

// gone reports whether a process has ended, though nobody has waited for it.
func gone(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// begins starts knockctl trial, and returns it when the configuration is on
// trial.
func (s *trialSite) begins(length string) (cmd *exec.Cmd, out *syncBuffer) {
	s.t.Helper()
	out = &syncBuffer{}
	cmd = exec.Command(program(s.t, "knockctl"), "trial", length, "-c", s.dir+"/k.conf")
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.server.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	s.t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	nettest.Eventually(s.t, "the trial begins: "+length, func() bool { return strings.Contains(out.String(), "is on trial") })
	return cmd, out
}

func (s *trialSite) knockctl(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	return outcome(s.t, s.server, program(s.t, "knockctl"), append(args, "--socket", s.dir+"/control")...)
}

// restart starts a daemon, as after a crash: at once, though threads of the one
// before may still end.
func (s *trialSite) restart() {
	s.t.Helper()
	said := ""
	nettest.Eventually(s.t, "a daemon starts", func() bool {
		status, stdout, stderr := outcome(s.t, s.server, program(s.t, "knockd"), "-d", "-c", s.dir+"/k.conf")
		if said = stdout + stderr; status != 0 && !strings.Contains(said, "already running") {
			s.t.Fatalf("status %d\n%s", status, said)
		}
		return status == 0
	})
}

func (s *trialSite) log() string {
	text, _ := os.ReadFile(s.dir + "/log")
	return string(text)
}

// opensAgain waits until the port is open to all, at the end at the latest.
func (s *trialSite) opensAgain(address string, end time.Time) {
	s.t.Helper()
	const slack = 2 * time.Second // of the kernel's timer, and of a dial
	for !s.client.Reaches(address, nettest.Moment) {
		if time.Now().After(end.Add(slack)) {
			s.t.Fatalf("%s is closed %v after the trial's end\n%s\n%s", address, time.Since(end), s.log(), s.server.Run("nft", "list", "ruleset"))
		}
	}
}

func (s *trialSite) knocks() {
	s.t.Helper()
	s.client.Run(program(s.t, "knock"), "-d", "50", nettest.Server4, "7000:tcp", "8000:udp")
}

// TestTrialConfirmed: a trial is begun with one command, confirmed, and holds.
func TestTrialConfirmed(t *testing.T) {
	t.Parallel()
	s := newTrialSite(t)
	s.configure(22)
	at := bothFamilies[0]
	s.client.MustReach(at)
	_, out := s.begins("10s")
	end := time.Now().Add(10 * time.Second)
	shut(t, s.client, at)
	if status, _, stderr := s.knockctl("trial", "10s", "-c", s.dir+"/k.conf"); status != 1 || !strings.Contains(stderr, "a trial goes on for another") {
		t.Errorf("a second trial: status %d\n%s", status, stderr)
	}
	s.knocks()
	opens(t, s.client, at)
	if status, stdout, stderr := s.knockctl("confirm"); status != 1 || stdout != "" || !strings.Contains(stderr, "hint: ") {
		t.Errorf("confirmed from where no door was used: status %d\n%s%s", status, stdout, stderr)
	}
	s.kill() // the daemon that is started anew knows, and so does the countdown
	s.restart()
	shut(t, s.client, bothFamilies[1])
	status, stdout, stderr := s.knockctl("confirm", "--force")
	if status != 0 || !strings.Contains(stdout, "stays; closed but for those who knock: tcp/22\n") {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	nettest.Eventually(t, "the countdown ends", func() bool { return strings.Contains(out.String(), "confirmed\n") })
	if status, _, stderr := s.knockctl("confirm"); status != 1 || stderr != "knockctl: nothing is on trial\n" {
		t.Errorf("twice: status %d\n%s", status, stderr)
	}
	time.Sleep(time.Until(end.Add(20 * time.Second))) // the kernel's time
	shut(t, s.client, at)
	s.knocks()
	opens(t, s.client, at)
	s.kill()
	s.restart()
	shut(t, s.client, bothFamilies[1])
	if log := s.log(); strings.Contains(log, "not confirmed") {
		t.Error(log)
	}
}

// TestTrialKilled: knockd and knockctl are killed and the daemon starts again, and
// again after the end: the port is open in time, and stays so.
func TestTrialKilled(t *testing.T) {
	t.Parallel()
	s := newTrialSite(t)
	s.configure(22)
	at := bothFamilies[0]
	cmd, _ := s.begins("12s")
	end := time.Now().Add(12 * time.Second)
	shut(t, s.client, at)
	cmd.Process.Kill()
	s.kill()
	shut(t, s.client, at) // the kernel keeps it closed
	s.restart()
	shut(t, s.client, at)
	s.opensAgain(at, end)
	nettest.Eventually(t, "the end is said", func() bool {
		return strings.Contains(s.log(), "k.conf was on trial and not confirmed: tcp/22 is not guarded (knockctl trial tries again)")
	})
	if status, _, stderr := s.knockctl("confirm"); status != 1 || stderr != "knockctl: the trial is over and was not confirmed: not guarded: tcp/22\n" {
		t.Errorf("too late: status %d\n%s", status, stderr)
	}
	s.kill()
	if status, stdout, stderr := outcome(t, s.server, program(t, "knockd"), "--guard", "-c", s.dir+"/k.conf"); status != 0 || stdout != "" || !strings.Contains(stderr, "not confirmed") {
		t.Errorf("--guard: status %d\n%s%s", status, stdout, stderr)
	}
	s.restart()
	s.client.MustReach(at)
	// And it can be tried again.
	s.begins("10s")
	shut(t, s.client, at)
	if status, _, stderr := s.knockctl("confirm", "--force"); status != 0 {
		t.Fatal(stderr)
	}
	shut(t, s.client, at)
}

// TestTrialOfChange: a running daemon tries out a changed file. What was closed
// stays closed, and what was in use comes back, also for a daemon that starts
// while the trial goes on.
func TestTrialOfChange(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			t.Parallel()
			s := newTrialSite(t)
			s.server.EchoTCP(":23")
			more := nettest.Server4 + ":23"
			s.configure(22)
			s.restart()
			if status, _, stderr := s.knockctl("trial", "10s", "-c", s.dir+"/k.conf"); status != 1 || !strings.Contains(stderr, "it is in use already") {
				t.Errorf("of what is in use: status %d\n%s", status, stderr)
			}
			s.configure(23)
			cmd, _ := s.begins("12s")
			end := time.Now().Add(12 * time.Second)
			shut(t, s.client, bothFamilies[0])
			shut(t, s.client, more)
			s.knocks()
			opens(t, s.client, more)
			tried := nettest.Read(t, s.dir+"/k.conf")
			if status, _, stderr := s.knockctl("reload"); status != 0 {
				t.Errorf("a reload of what is on trial: status %d\n%s", status, stderr)
			}
			s.configure(24)
			if status, _, stderr := s.knockctl("reload"); status != 1 || !strings.Contains(stderr, "k.conf is on trial for ") {
				t.Errorf("a reload of another configuration: status %d\n%s", status, stderr)
			}
			if status, _, stderr := s.knockctl("reload", "--trial", "10s"); status != 1 || !strings.Contains(stderr, "a trial goes on for another") {
				t.Errorf("a second trial: status %d\n%s", status, stderr)
			}
			nettest.Write(t, s.dir+"/k.conf", tried)
			shut(t, s.client, bothFamilies[0])
			if killed {
				cmd.Process.Kill()
				s.kill()
				s.restart()
				s.client.MustReach(more) // what was in use is in use
			}
			s.opensAgain(more, end)
			nettest.Eventually(t, "it is said", func() bool {
				return strings.Contains(s.log(), "k.conf was on trial and not confirmed: what was in use before is in use: "+s.dir+"/state/")
			})
			nettest.Eventually(t, "what was in use opens", func() bool { s.knocks(); return s.client.Reaches(bothFamilies[0], nettest.Moment) })
			s.kill()
			s.restart()
			shut(t, s.client, bothFamilies[1])
			s.client.MustReach(more)
		})
	}
}

// TestTrialOfAnotherBoot: a trial of another boot is over, whatever its end.
func TestTrialOfAnotherBoot(t *testing.T) {
	t.Parallel()
	s := newTrialSite(t)
	s.configure(22)
	cmd, _ := s.begins("10m")
	shut(t, s.client, bothFamilies[0])
	cmd.Process.Kill()
	s.kill()
	s.server.Run("nft", "flush", "ruleset") // as a boot does
	states, _ := filepath.Glob(s.dir + "/state/*.unconfirmed")
	if len(states) != 1 {
		t.Fatal(states)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	text := nettest.Read(t, states[0])
	nettest.Write(t, states[0], strings.Replace(text, strings.TrimSpace(string(boot)), "another", 1))
	if status, stdout, _ := outcome(t, s.server, program(t, "knockd"), "--guard", "-c", s.dir+"/k.conf"); status != 0 || stdout != "" {
		t.Errorf("--guard: status %d\n%s", status, stdout)
	}
	s.restart()
	s.client.MustReach(bothFamilies[0])
	s.knocks() // does no harm
	s.client.MustReach(bothFamilies[1])
}

// TestTrialUnanswered: a daemon that was started for a trial and does not say
// that it tries anything out is ended, and what it closed is open.
func TestTrialUnanswered(t *testing.T) {
	t.Parallel()
	s := newTrialSite(t)
	s.configure(22)
	nettest.Write(t, s.dir+"/k.conf", strings.Replace(nettest.Read(t, s.dir+"/k.conf"), s.dir+"/control", s.dir+"/none/control", 1))
	status, _, stderr := outcome(t, s.server, program(t, "knockctl"), "trial", "10m", "-c", s.dir+"/k.conf")
	if status != 1 || !strings.Contains(stderr, "knockd does not answer: ") {
		t.Errorf("status %d\n%s", status, stderr)
	}
	s.client.MustReach(bothFamilies[0])
	if pid := s.pid(); pid > 1 && !gone(pid) {
		t.Errorf("process %d lives", pid)
	}
	if left, _ := filepath.Glob(s.dir + "/state/*.unconfirmed"); len(left) > 0 {
		t.Error(left)
	}
}

// TestRescueAtBoot: --guard and a trial close nothing for the addresses of rescue,
// and a reload changes for whom that is.
func TestRescueAtBoot(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"input", "prerouting"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			s := newTrialSite(t)
			rescue := func(network string) {
				t.Helper()
				s.configure(22)
				text := nettest.Read(t, s.dir+"/k.conf")
				nettest.Write(t, s.dir+"/k.conf", strings.Replace(text, "[ssh]", "	guard_hook = "+hook+"\n	rescue = "+network+"\n[ssh]", 1))
			}
			rescue(nettest.Client4 + "/32, 192.0.2.0/24")
			if status, stdout, stderr := outcome(t, s.server, program(t, "knockd"), "--guard", "-c", s.dir+"/k.conf"); status != 0 || stdout != "closed to all: tcp/22\n" {
				t.Fatalf("status %d\n%s%s", status, stdout, stderr)
			}
			s.client.MustReach(bothFamilies[0])
			shut(t, s.client, bothFamilies[1])
			s.server.Run("nft", "flush", "ruleset")
			s.begins("10m")
			s.client.MustReach(bothFamilies[0])
			shut(t, s.client, bothFamilies[1])
			if status, _, stderr := s.knockctl("confirm", "--force"); status != 0 {
				t.Fatal(stderr)
			}
			rescue(nettest.Client6 + "/128")
			if status, _, stderr := s.knockctl("reload"); status != 0 {
				t.Fatal(stderr)
			}
			shut(t, s.client, bothFamilies[0])
			s.client.MustReach(bothFamilies[1])
		})
	}
}
