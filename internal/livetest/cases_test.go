package livetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

// given returns a configuration as people have it, of testdata/cases, with the
// log and what its command writes in the test's own directory.
func given(t *testing.T, name string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("../../testdata/cases", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("/var/log/knockd.log", "LOG", "/tmp/hit", "DIR/opened").Replace(string(src))
}

// TestCommentsAfterNumbers: a configuration with comments behind its numbers
// opens for the same knock as with knockd 0.8, here with warnings.
func TestCommentsAfterNumbers(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	r := startRivals(t, server, given(t, "01-comments-after-numbers.conf"))
	knock08(t, client, nettest.Server4, "7300", "8300", "9300")
	for _, d := range []*daemon{r.theirs, r.ours} {
		d.opensFor(nettest.Client4)
		d.end()
	}
	if diff := cmp.Diff(conformance.Decisions(r.theirs.text()), conformance.Decisions(r.ours.text())); diff != "" {
		t.Errorf("knockd 0.8 -, ours +:\n%s", diff)
	}
	for _, want := range []string{
		`:5: [openSSH] sequence: "# the knock" behind the value is not read`,
		`:6: [openSSH] seq_timeout: "# seconds, typing takes time" behind the value is not read`,
	} {
		if n := strings.Count(r.ours.output.String(), want); n != 1 {
			t.Errorf("%d times %s in\n%s", n, want, r.ours.output.String())
		}
	}
}

// TestAdvice: what -t says of configurations as people have them, on a host
// that lacks nothing.
func TestAdvice(t *testing.T) {
	t.Parallel()
	_, server := nettest.Pair(t)
	dir := t.TempDir()
	conf := dir + "/knockd.conf"
	if err := os.Mkdir(conf+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	nettest.Write(t, conf+".d/test.conf", "[options]\nStateDir = "+dir+"/state\n")
	files, err := filepath.Glob("../../testdata/cases/*.conf")
	if err != nil || len(files) < 16 {
		t.Fatal("which files?", files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if strings.Contains(file, "readable-by-all") {
			mode = 0o644
		}
		if err := errors.Join(os.WriteFile(conf, src, mode), os.Chmod(conf, mode)); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := outcome(t, server, program(t, "knockd"), "-t", "-c", conf)
		got := fmt.Sprintf("$ knockd -t -c %s\n%sstatus %d\n", filepath.Base(file),
			strings.ReplaceAll(stderr+stdout, conf, filepath.Base(file)), status)
		path := strings.TrimSuffix(file, ".conf") + ".txt"
		nettest.Golden(t, path, got)
	}
}

// TestIgnoredOption: -s of some packages is taken, and changes nothing, as
// OpenWrt's start script gives it: knockd -s -c FILE.
func TestIgnoredOption(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000", ""), "-s")
	syn(t, client, nettest.Client4, nettest.Server4, "7000")
	d.opensFor(nettest.Client4)
}

// TestSeqCooldown: after an opening the door does not open again for its time,
// whoever knocks; other doors do.
func TestSeqCooldown(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	conf := strings.NewReplacer("/dev/null", "LOG", "seq_cooldown = 5", "seq_cooldown = 600", "echo \"LOGIN from %IP%\"", "echo player >> DIR/opened",
		"echo \"RCON from %IP%\"", "echo rcon >> DIR/opened").Replace(given(t, "05-seq_cooldown.conf"))
	d := start(t, server, conf)
	for range 3 {
		syn(t, client, nettest.Client4, nettest.Server4, "8311:udp")
		syn(t, client, nettest.Client6, nettest.Server6, "8311:udp")
	}
	syn(t, client, nettest.Client4, nettest.Server4, "25675")
	d.opensFor("player", "rcon")
}

// TestLabel: -i eth0:door hears knocks at the address with this label alone,
// as knockd 0.8, and follows it. So does Interface in the file.
func TestLabel(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.Run("ip", "addr", "add", "10.7.0.9/24", "dev", "eth0", "label", "eth0:door")
	r := startRivals(t, server, countDoor("7000", ""), "-i", "eth0:door")
	inFile := start(t, server, strings.Replace(countDoor("7000", ""), "[options]", "[options]\n\tInterface = eth0:door", 1))
	all := []*daemon{r.theirs, r.ours, inFile}
	for _, to := range []string{nettest.Server4, "10.7.0.9"} {
		syn(t, client, nettest.Client4, to, "7000")
	}
	syn(t, client, nettest.Client6, nettest.Server6, "7000")
	syn(t, client, nettest.Client4, "10.7.0.9", "7000")
	for _, d := range all {
		d.opensFor(nettest.Client4, nettest.Client4)
	}
	if want := "starting up, listening on eth0:door\n"; !strings.HasPrefix(r.theirs.text(), want) || !strings.HasPrefix(r.ours.text(), want) {
		t.Errorf("knockd 0.8 says\n%sours\n%s", r.theirs.text(), r.ours.text())
	}
	server.Run("ip", "addr", "del", "10.7.0.9/24", "dev", "eth0")
	inFile.waitFor("waiting for interface eth0:door", 1)
	server.Run("ip", "addr", "add", "10.7.0.10/24", "dev", "eth0", "label", "eth0:door")
	inFile.waitFor("listening on eth0:door", 2)
	syn(t, client, nettest.Client4, "10.7.0.9", "7000")
	syn(t, client, nettest.Client4, "10.7.0.10", "7000")
	inFile.opensFor(nettest.Client4, nettest.Client4, nettest.Client4)
}

// TestCheckLabel: -t knows labels.
func TestCheckLabel(t *testing.T) {
	t.Parallel()
	_, server := nettest.Pair(t)
	server.Run("ip", "addr", "add", "10.7.0.9/24", "dev", "eth0", "label", "eth0:door")
	conf := t.TempDir() + "/knockd.conf"
	nettest.Write(t, conf, "[a]\n\tsequence = 7111,9333,8222\n\ttcpflags = syn\n\tcommand = true\n")
	for name, want := range map[string]string{
		"eth0:door": "", "eth0:other": "knockd: warning: waiting for interface eth0:other: no address has this label now...",
	} {
		_, _, stderr := outcome(t, server, program(t, "knockd"), "-t", "-c", conf, "-i", name)
		if !like(want, stderr) {
			t.Errorf("%s: %s", name, stderr)
		}
	}
}
