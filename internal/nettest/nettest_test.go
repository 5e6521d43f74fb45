package nettest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestPairTalks(t *testing.T) {
	client, server := Pair(t)
	for _, address := range []string{Server4, Server6} {
		for _, network := range []string{"tcp", "udp"} {
			at := net.JoinHostPort(address, "7")
			if network == "tcp" {
				server.EchoTCP(at)
			} else {
				server.EchoUDP(at)
			}
			conn, err := client.Dial(network, at, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintln(conn, "hello")
			if got, err := bufio.NewReader(conn).ReadString('\n'); got != "hello\n" {
				t.Errorf("%s %s: echo %q, %v", network, at, got, err)
			}
		}
	}
	if client.Reaches(Server4+":8", 10*time.Second) {
		t.Error("a port nobody listens on is reached")
	}
}

func TestHostsAreApart(t *testing.T) {
	a, b := NewHost(t, "a"), NewHost(t, "b")
	a.EchoTCP("127.0.0.1:7")
	if !a.Reaches("127.0.0.1:7", 10*time.Second) {
		t.Error("a does not reach itself")
	}
	if b.Reaches("127.0.0.1:7", 10*time.Second) {
		t.Error("b reaches a's loopback")
	}
	if out := b.Run("ip", "-brief", "link"); strings.Contains(out, "eth") {
		t.Errorf("b has an interface nobody gave it:\n%s", out)
	}
}

// TestThreadsReturn: after work in a host no goroutine is left there.
func TestThreadsReturn(t *testing.T) {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	h := NewHost(t, "h")
	for range 20 {
		var there string
		h.Do(func() (err error) {
			there, err = os.Readlink("/proc/thread-self/ns/net")
			return err
		})
		if there == home || there == "" {
			t.Fatalf("in the host the namespace is %q, outside %q", there, home)
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatal("no threads", err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink(task); err == nil && ns != home {
			t.Errorf("%s is still in %s", task, ns)
		}
	}
}

func TestProcessesEndWithTheTest(t *testing.T) {
	var cmd *exec.Cmd
	t.Run("", func(t *testing.T) {
		h := NewHost(t, "h")
		cmd = exec.Command("sleep", "600")
		if err := h.Start(cmd); err != nil {
			t.Fatal(err)
		}
	})
	if cmd == nil {
		t.Skip("no host could be made")
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err == nil {
		t.Error("the process outlived its host")
	}
}

// TestLeftoversEndWithTheTest: so do processes that their parent has left.
func TestLeftoversEndWithTheTest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pid")
	t.Run("", func(t *testing.T) {
		h := NewHost(t, "h")
		h.Run("sh", "-c", "setsid sh -c 'echo $$ >"+name+"; exec sleep 600' >/dev/null 2>&1 & while ! test -s "+name+"; do sleep 0.01; done")
	})
	text, err := os.ReadFile(name)
	if err != nil {
		t.Skip("no host could be made")
	}
	var pid int
	fmt.Sscan(string(text), &pid)
	for range 1000 {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d outlived its host", pid)
}

func TestTryReportsFailure(t *testing.T) {
	h := NewHost(t, "h")
	out, err := h.Try("sh", "-c", "echo no; exit 3")
	if out != "no\n" || err == nil || err.Error() != "exit status 3" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := h.Try("no-such-program"); err == nil {
		t.Error("a program that does not exist ran")
	}
}

func TestNeedProgramNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := os.Symlink("/bin/sh", os.Getenv("PATH")+"/bash"); err != nil {
		t.Fatal(err)
	}
	for ci, want := range map[string]string{
		"":     "skip: needs zsh, /usr/lib/nmap (Debian: nmap zsh)",
		"true": "fatal: needs zsh, /usr/lib/nmap (Debian: nmap zsh)",
	} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		NeedProgram(r, "bash", "zsh", "/usr/lib/nmap")
		if r.said != want {
			t.Errorf("CI=%q: %q, want %q", ci, r.said, want)
		}
	}
	t.Run("unknown", func(t *testing.T) {
		r := &recorder{TB: t}
		NeedProgram(r, "no-such-program")
		if want := "fatal: nettest: programs.txt does not say which package brings no-such-program"; r.said != want {
			t.Errorf("%q, want %q", r.said, want)
		}
	})
	r := &recorder{TB: t}
	t.Setenv("CI", "true")
	LacksKernel(r, "doors")
	if want := "skip: the kernel lacks doors"; r.said != want {
		t.Errorf("%q, want %q", r.said, want)
	}
}

// recorder notes how a test would have ended.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.end("skip: "+format, args...) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal: "+format, args...) }

// end keeps the first word, which would have ended the test.
func (r *recorder) end(format string, args ...any) {
	if r.said == "" {
		r.said = fmt.Sprintf(format, args...)
	}
}
