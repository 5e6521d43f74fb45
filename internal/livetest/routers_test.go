//go:build !race

package livetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// routers are the processors of routers, the most octets that knockd may have
// there, packed as packages are, too, and those of all commands in one file. The
// programs of mips are the largest.
var routers = []struct {
	arch, emulator       string
	knockd, packed, tiny int64
}{
	{"arm", "qemu-arm", 8_600_000, 2_500_000, 9_000_000},
	{"mips", "qemu-mips", 8_600_000, 2_200_000, 10_500_000}, // the other order of octets
	{"mipsle", "qemu-mipsel", 8_600_000, 2_200_000, 10_500_000},
}

// forRouter is a script of .ci that builds for a router's processor.
func forRouter(arch, script string, args ...string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{"../../.ci/" + script}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOARM=7", "GOMIPS=softfloat", "VERSION=1.0.0")
	return cmd
}

// TestRouters: what is built for routers is small enough for them, and decides as
// everywhere.
func TestRouters(t *testing.T) {
	nettest.NeedProgram(t, "xz")
	nettest.NeedProgram(t, "qemu-mips")
	for _, r := range routers {
		t.Run(r.arch, func(t *testing.T) {
			dir := t.TempDir()
			if out, err := forRouter(r.arch, "build", "-o", dir+"/program", "knockd/cmd/knockd").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := forRouter(r.arch, "tiny", dir+"/tiny").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			packed, err := exec.Command("xz", "-9e", "-T1", "-c", dir+"/program").Output()
			if err != nil {
				t.Fatal("xz: ", err)
			}
			smallEnough(t, "knockd", sizeOf(t, dir+"/program"), r.knockd)
			smallEnough(t, "knockd packed", int64(len(packed)), r.packed)
			smallEnough(t, "three commands in one", sizeOf(t, dir+"/tiny/knockd"), r.tiny)

			emulator, err := exec.LookPath(r.emulator)
			if err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("#!/bin/sh\nexec %s %s/program \"$@\"\n", emulator, dir)
			if err := os.WriteFile(dir+"/knockd", []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			decidesTraces(t, dir+"/knockd")
		})
	}
}

func sizeOf(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func smallEnough(t *testing.T, what string, is, most int64) {
	t.Helper()
	t.Logf("%s: %d octets of at most %d", what, is, most)
	if is > most {
		t.Errorf("%s: %d octets, at most %d fit", what, is, most)
	}
}

// TestTiny: one file is all three commands, by its name or by its first argument;
// as knockd it detaches, as knock it names itself to ssh.
func TestTiny(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "../../.ci/tiny", dir)
	cmd.Env = append(os.Environ(), "VERSION=1.2.3")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	other := filepath.Join(dir, "router-box")
	if err := os.Link(dir+"/knockd", other); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	nettest.Write(t, keys, "[laptop]\n"+spa.NewClient("laptop", spa.SHA256).KeyLines())
	for _, c := range []struct {
		args   []string
		want   string
		status int
	}{
		{[]string{dir + "/knockd", "--version"}, "knockd 1.2.3\n", 0},
		{[]string{dir + "/knock", "--version"}, "knock 1.2.3\n", 0},
		{[]string{dir + "/knockctl", "--version"}, "knockctl 1.2.3\n", 0},
		{[]string{other, "knock", "--version"}, "knock 1.2.3\n", 0},
		{[]string{other, "knockctl", "nothing"}, "knockctl: unknown command \"nothing\"\nknockctl: hint: knockctl --help lists them\n", 2},
		{[]string{other}, "router-box: these are knockd, knock and knockctl\n" +
			"router-box: hint: call the file by one of these names, or give the name first\n", 2},
		{[]string{dir + "/knock", "spa", "-R", "-A", "tcp/22", "--key-file", keys, "192.0.2.1"},
			"knock: ask https://www.cipherdyne.org/cgi-bin/myip for the outside address: this program was built without HTTPS\n" +
				"knock: hint: name the address with -a, let the server see it with -s, or ask another with --resolve-url or --stun\n", 2},
	} {
		var out bytes.Buffer
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); out.String() != c.want || got != c.status {
			t.Errorf("%q: status %d\n%swant %d\n%s", c.args, got, out.String(), c.status, c.want)
		}
	}
	decidesTraces(t, dir+"/knockd")
	sshKnocks(t, dir)
}

// sshKnocks fails the test unless knock ssh names knock to ssh, and not the file
// that its name leads to.
func sshKnocks(t *testing.T, dir string) {
	home := t.TempDir()
	for name, text := range map[string]string{
		"ssh":    "#!/bin/sh\nif [ \"$1\" = -G ]; then echo hostname gate; else printf '%s\\n' \"$@\"; fi\n",
		"config": "[gate]\nhost = 127.0.0.1\nsequence = 7000,8000\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dir+"/knock", "--config", home+"/config", "ssh", "gate")
	cmd.Env = append(os.Environ(), "PATH="+home+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if want := "ProxyCommand='" + dir + "/knock' "; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("knock ssh: %v\n%swant %s", err, out, want)
	}
}

// TestIdleMemory: with nothing to do a daemon of a 32-bit system has few pages of
// its own, beside those of its file and of the ring.
func TestIdleMemory(t *testing.T) {
	const most = 7 // MiB
	client, server := nettest.Pair(t)
	dir := t.TempDir()
	if out, err := forRouter("386", "build", "-o", dir+"/", "knockd/cmd/knockd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := prepare(t, server, dir+"/knockd", "[options]\n\tlogfile = LOG\n[ssh]\n\tsequence = 7000,8000\n\topen = tcp/22\n\tcmd_timeout = 1\n")
	d.waitFor("starting up, listening on", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000")
	d.waitFor("ssh: closed for "+nettest.Client4, 1)
	pid := d.cmd.Process.Pid
	anonymous := memoryOf(pid, "RssAnon")
	t.Logf("anonymous %.1f MiB, of files and the ring %.1f MiB", anonymous, memoryOf(pid, "RssFile"))
	if anonymous > most {
		t.Errorf("%.1f MiB of anonymous pages, at most %d", anonymous, most)
	}
}
