package livetest

import (
	"fmt"
	"os"
	"slices"
	"strings"
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
	write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/state\n[door]\nsequence = 7000,8000:udp\nstart_command = id -u > "+dir+"/opened\n")
	d := prepareCommand(t, server, dir+"/log", "setpriv", slices.Concat(asNobody,
		[]string{dir + "/knockd", "-c", dir + "/knockd.conf", "-g", dir + "/log"})...)
	d.waitFor("starting up, listening on eth0", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000:udp")
	eventually(t, "opened by nobody", func() bool {
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
		write(t, dir+"/knockd.conf", "[options]\nStateDir = "+dir+"/state\n[door]\nsequence = 7000\n"+c.door+"\n")
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
