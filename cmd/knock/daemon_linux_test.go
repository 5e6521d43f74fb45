package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// daemon is a knockd to knock at.
type daemon struct{ path string }

// daemons are the knockd of Debian and, as soon as it can be built, ours.
func daemons(t *testing.T) map[string]daemon {
	t.Helper()
	nettest.NeedProgram(t, "/usr/sbin/knockd")
	found := map[string]daemon{"knockd 0.8": {"/usr/sbin/knockd"}}
	if sources, _ := filepath.Glob("../knockd/*.go"); len(sources) > 0 {
		ours := filepath.Join(t.TempDir(), "knockd")
		if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", ours, "../knockd").CombinedOutput(); err != nil {
			t.Fatalf("build knockd: %v\n%s", err, out)
		}
		found["ours"] = daemon{ours}
	}
	return found
}

// start runs the daemon on an interface of a host until the test ends, and
// returns its directory once it listens. The configuration may name the
// directory as %[1]s.
func (d daemon) start(t *testing.T, h *nettest.Host, ifname, config string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "knockd.conf")
	nettest.Write(t, file, fmt.Sprintf(config, dir))
	cmd := exec.Command(d.path, "-i", ifname, "-c", file)
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	before := packetSockets(h)
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	out.Close()
	for range 1000 {
		if packetSockets(h) > before {
			time.Sleep(50 * time.Millisecond) // from bind to the filter
			return dir
		}
		time.Sleep(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "output"))
	t.Fatalf("the daemon does not listen:\n%s", text)
	return ""
}

// packetSockets counts the packet sockets of a host.
func packetSockets(h *nettest.Host) int {
	var table []byte
	h.Do(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/packet")
		return err
	})
	return strings.Count(string(table), "\n") - 1
}
