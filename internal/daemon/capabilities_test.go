package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/openings"
	"knockd/internal/statefile"
)

// TestCapabilitiesKept: with a command everything is kept, after a reload that
// takes it away too.
func TestCapabilitiesKept(t *testing.T) {
	inWorld(t, doorText("a", "1", "1"), func(w *world) {
		w.reload("[a]\nsequence = 1\n")
		time.Sleep(2 * dropAgain)
		synctest.Wait()
		if w.kept != nil {
			t.Errorf("kept %x", w.kept)
		}
		w.said()
		w.reload(doorText("a", "1", "1"))
		w.says("re-reading config file: k.conf\n")
	})
}

// TestCapabilitiesGone: without one they are given up at once, and a reload that
// adds one is refused.
func TestCapabilitiesGone(t *testing.T) {
	const nothing = "[a]\nsequence = 1\n"
	inWorld(t, nothing, func(w *world) {
		want := uint64(1) << unix.CAP_NET_RAW
		if os.Geteuid() == 0 {
			want |= 1 << unix.CAP_DAC_OVERRIDE
		}
		if !slices.Equal(w.kept, []uint64{want}) {
			t.Errorf("kept %x, want %x", w.kept, want)
		}
		w.said()
		const refused = `
re-reading config file: k.conf
k.conf: only a restart can change: the first start_command (capabilities were given up)
configuration not changed
`
		w.reload(nothing + "[b]\nsequence = 2\nstart_command = true\n")
		w.says(refused)
		w.reload(nothing + "[b]\nsequence = 2\nstart_command_6 = true\n")
		w.says(refused)
	})
}

// TestCapabilitiesWait: an opening whose stop command an earlier configuration
// left behind is closed first.
func TestCapabilitiesWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.write("k.conf", "[a]\nsequence = 1\n")
		w.held = []knock.Opening{{Door: knock.DoorID{Name: "old"}, Addr: local4, Action: "command", Args: knock.Arguments{Start: "open-old", Stop: "close-old"}, Timeout: time.Hour}}
		w.start()
		time.Sleep(5 * dropAgain)
		if synctest.Wait(); w.kept != nil {
			t.Error("given up while a stop command has to run")
		}
		w.d.manager.Close(func(*knock.Opening) bool { return true }, "the test says so")
		time.Sleep(5 * dropAgain)
		if synctest.Wait(); len(w.kept) != 1 {
			t.Errorf("given up %d times, want once", len(w.kept))
		}
		w.ran("close-old", "open-old")
		w.ends()
	})
}

// TestCapabilitiesDeadDisk: all threads give them up together, so not while one
// waits for a disk that does not answer.
func TestCapabilitiesDeadDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		if err := statefile.Do("/dead/file", func(context.Context) error { <-answer; return nil }); err == nil {
			t.Fatal("it answers")
		}
		w := newWorld(t, dir)
		w.write("k.conf", "[a]\nsequence = 1\n")
		w.start()
		time.Sleep(5 * dropAgain)
		if synctest.Wait(); w.kept != nil {
			t.Error("given up while a thread waits")
		}
		close(answer)
		time.Sleep(2 * dropAgain)
		if synctest.Wait(); len(w.kept) != 1 {
			t.Errorf("given up %d times, want once", len(w.kept))
		}
		w.ends()
	})
}

// needing is an action that needs these capabilities.
type needing struct {
	openings.Action
	capabilities uint64
}

func (n needing) Needs(knock.Arguments) uint64 { return n.capabilities }

// TestClosing: what closing takes is what the action says; of one that is not
// known, anything.
func TestClosing(t *testing.T) {
	d := &Daemon{Options: Options{Actions: map[string]openings.Action{"a": needing{capabilities: 1 << unix.CAP_NET_ADMIN}}}}
	for action, want := range map[string]uint64{"a": 1 << unix.CAP_NET_ADMIN, "other": allCapabilities} {
		if got := d.closing(openings.Pending{Opening: knock.Opening{Action: action}}); got != want {
			t.Errorf("action %q needs %x, want %x", action, got, want)
		}
	}
}

// limited tells a process of this test binary what to keep, in hexadecimal.
const limited = "KNOCKD_TEST_LIMITED"

// TestLimit: a process that gave up its capabilities has no more on any thread,
// nor does what it executes get one back; where the bounding set may not be
// changed no_new_privs alone sees to that.
func TestLimit(t *testing.T) {
	if os.Getenv(limited) != "" {
		t.Skip("this is the process that gives up")
	}
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	const rawAlone = "2000"
	for _, c := range []struct {
		name string
		as   []string
		want string // of each thread; and of what is executed
	}{
		{"root", nil, "inh 0 prm 2000 eff 2000 bnd 0 amb 0 nnp 1\nexec: inh 0 prm 0 eff 0 bnd 0 amb 0 nnp 1\n"},
		{"under the unit", []string{"--bounding-set", "-all,+net_raw,+net_admin,+sys_module"},
			"inh 0 prm 2000 eff 2000 bnd 13000 amb 0 nnp 1\nexec: inh 0 prm 2000 eff 2000 bnd 13000 amb 0 nnp 1\n"},
		{"an ordinary user", []string{"--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all,+net_raw,+net_admin",
			"--ambient-caps", "+net_raw,+net_admin", "--bounding-set", "-all,+net_raw,+net_admin"},
			"inh 0 prm 2000 eff 2000 bnd 3000 amb 0 nnp 1\nexec: inh 0 prm 0 eff 0 bnd 3000 amb 0 nnp 1\n"},
	} {
		self, err := os.Open("/proc/self/exe") // it may lie where an ordinary user cannot look
		if err != nil {
			t.Fatal(err)
		}
		defer self.Close()
		cmd := exec.Command("setpriv", slices.Concat(c.as, []string{"--", "/proc/self/fd/3", "-test.run=^TestLimitChild$", "-test.v"})...)
		cmd.Env = append(os.Environ(), limited+"="+rawAlone)
		cmd.ExtraFiles = []*os.File{self}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		_, got, _ := strings.Cut(string(out), "\nBEGIN\n")
		got, _, _ = strings.Cut(got, "END\n")
		if withCgo() {
			// Only what keeps an exec from gaining anything reaches all threads.
			c.want = errThreads.Error() + "\n"
			got = regexp.MustCompile(`(?m)^(.*inh.*) nnp 1\n`).ReplaceAllString(got, "")
		}
		if got != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.name, out, c.want)
		}
	}
}

// withCgo says whether this build cannot change all threads at once.
func withCgo() bool {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0)
	return errno == unix.ENOTSUP
}

// TestLimitChild is the process: it says what its threads have, each kind once.
func TestLimitChild(t *testing.T) {
	keep, err := strconv.ParseUint(os.Getenv(limited), 16, 64)
	if err != nil {
		t.Skip("TestLimit runs it")
	}
	end := make(chan struct{})
	defer close(end)
	for range 10 { // threads
		ready := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(ready)
			<-end
		}()
		<-ready
	}
	fmt.Println("\nBEGIN")
	if err := limitCapabilities(keep); err != nil {
		fmt.Println(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 10 {
		t.Fatal(tasks, err)
	}
	kinds := map[string]bool{}
	for _, path := range tasks {
		status, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kinds[privileges(status)] = true
	}
	for kind := range kinds {
		fmt.Println(kind)
	}
	status, err := exec.Command("cat", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("exec:", privileges(status))
	fmt.Println("END")
}

// privileges are those of a thread, by its status file in /proc.
func privileges(status []byte) string {
	var list []string
	for _, f := range [][2]string{{"inh", "CapInh"}, {"prm", "CapPrm"}, {"eff", "CapEff"}, {"bnd", "CapBnd"}, {"amb", "CapAmb"}, {"nnp", "NoNewPrivs"}} {
		found := regexp.MustCompile(`(?m)^` + f[1] + `:\t0*([0-9a-f]+)$`).FindSubmatch(status)
		if found != nil {
			list = append(list, f[0]+" "+string(found[1]))
		}
	}
	return strings.Join(list, " ")
}
