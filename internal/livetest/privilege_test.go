package livetest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

const nobody = 65534

// asNobody is what setpriv needs to leave a program nothing but CAP_NET_RAW.
var asNobody = []string{"--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups",
	"--inh-caps", "-all,+net_raw", "--ambient-caps", "+net_raw", "--bounding-set", "-all,+net_raw", "--no-new-privs"}

// nobodysDir makes a directory that belongs to nobody, with knockd in it.
func nobodysDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "knockd-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copyProgram(t, program(t, "knockd"), dir+"/knockd")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAsNobody: without root, CAP_NET_RAW is enough for a door with commands.
func TestAsNobody(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := nobodysDir(t)
	nettest.Write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/state\n[door]\nsequence = 7000,8000:udp\nstart_command = id -u > "+dir+"/opened\n")
	d := prepareCommand(t, server, dir+"/log", "setpriv", slices.Concat(asNobody,
		[]string{dir + "/knockd", "-c", dir + "/knockd.conf", "-g", dir + "/log"})...)
	d.waitFor("starting up, listening on eth0", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000:udp")
	nettest.Eventually(t, "opened by nobody", func() bool {
		data, _ := os.ReadFile(dir + "/opened")
		return string(data) == "65534\n"
	})
}

// TestNoPrivilege: one error, one hint, exit status 1: the capability that is
// missing is named.
func TestNoPrivilege(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	_, server := nettest.Pair(t)
	dir := nobodysDir(t)
	nothing := []string{"--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups",
		"--inh-caps", "-all", "--bounding-set", "-all"}
	for _, c := range []struct {
		name        string
		as          []string
		door, lacks string
	}{
		{"nothing", nothing, "command = true", "CAP_NET_RAW"},
		{"sniffing alone", asNobody, "open = tcp/22", "CAP_NET_ADMIN"},
	} {
		nettest.Write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/state\n[door]\nsequence = 7000\n"+c.door+"\n")
		out, err := server.Try("setpriv", slices.Concat(c.as, []string{dir + "/knockd", "-c", dir + "/knockd.conf"})...)
		if err == nil || err.Error() != "exit status 1" {
			t.Errorf("%s: %v", c.name, err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "knockd: ") || !strings.HasSuffix(lines[0], "operation not permitted") ||
			!strings.HasPrefix(lines[1], "knockd: hint: ") || !strings.Contains(lines[1], c.lacks) {
			t.Errorf("%s: said:\n%s", c.name, out)
		}
	}
}

// TestCapabilitiesGivenUp: a daemon whose doors run nothing keeps only what
// they need, on each of its threads, and an exec would give none of it back. It
// says what a reload cannot add any more.
func TestCapabilitiesGivenUp(t *testing.T) {
	nettest.NeedRealRoot(t)
	t.Parallel()
	_, server := openSite(t)
	d := start(t, server, fmt.Sprintf(nativeDoor, 600))
	// CAP_DAC_OVERRIDE, CAP_NET_ADMIN and CAP_NET_RAW: bits 1, 12 and 13.
	d.allThreads("CapInh 0, CapPrm 3002, CapEff 3002, CapBnd 0, CapAmb 0, NoNewPrivs 1")
	d.configure(fmt.Sprintf(nativeDoor, 600) + "[more]\n\tsequence = 1,2\n\tstart_command = true\n")
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.waitFor("only a restart can change: the first start_command (capabilities were given up)", 1)
}

// TestBoundsOfUnit: where the bounding set may not be changed, as under the
// shipped unit, no_new_privs alone does it, and that is nothing to warn of.
func TestBoundsOfUnit(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	_, server := openSite(t)
	dir := t.TempDir()
	conf := strings.ReplaceAll(fmt.Sprintf(nativeDoor, 600), "LOG", dir+"/log")
	nettest.Write(t, dir+"/knockd.conf", strings.Replace(conf, "[ssh]", "\tStateDir = "+dir+"/state\n[ssh]", 1))
	d := prepareCommand(t, server, dir+"/log", "setpriv", "--bounding-set", "-all,+net_raw,+net_admin,+sys_module",
		program(t, "knockd"), "-c", dir+"/knockd.conf")
	d.waitFor("starting up, listening on eth0", 1)
	d.allThreads("CapInh 0, CapPrm 3000, CapEff 3000, CapBnd 13000, CapAmb 0, NoNewPrivs 1")
	d.lacks("capabilities")
}

// TestCapabilitiesOfCommands: a daemon with a command keeps what commands may
// need, sudo among them.
func TestCapabilitiesOfCommands(t *testing.T) {
	nettest.NeedRealRoot(t)
	t.Parallel()
	client, server := openSite(t)
	d := start(t, server, fmt.Sprintf(nativeDoor, 600)+"[run]\n\tsequence = 7000\n\tstart_command = cat /proc/self/status > DIR/opened\n")
	syn(t, client, nettest.Client4, nettest.Server4, "7000")
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	d.allThreads(privileges(own))
	nettest.Eventually(t, "the command has what the daemon was started with", func() bool {
		status, _ := os.ReadFile(d.file("opened"))
		return privileges(status) == privileges(own)
	})
}

// allThreads waits until all threads of the daemon have these privileges.
func (d *daemon) allThreads(want string) {
	d.t.Helper()
	nettest.Eventually(d.t, "on all threads: "+want, func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
		for _, path := range tasks {
			status, err := os.ReadFile(path)
			if err == nil && privileges(status) != want {
				return false
			}
		}
		return len(tasks) > 1
	})
}

var privilege = regexp.MustCompile(`(?m)^(Cap...|NoNewPrivs):\t0*([0-9a-f]+)$`)

// privileges are those of a thread, by its status in /proc.
func privileges(status []byte) string {
	var list []string
	for _, found := range privilege.FindAllSubmatch(status, -1) {
		list = append(list, string(found[1])+" "+string(found[2]))
	}
	return strings.Join(list, ", ")
}
