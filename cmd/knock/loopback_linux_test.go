package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestLoopback knocks on the server itself, and sees which daemon notices, as
// the manual says.
func TestLoopback(t *testing.T) {
	for name, daemon := range daemons(t) {
		for _, c := range []struct {
			ifname, host string
			seen         bool
		}{
			{"eth0", nettest.Server4, false}, {"eth0", "127.0.0.1", false},
			{"lo", "127.0.0.1", true}, {"lo", nettest.Server4, false},
			{"any", "127.0.0.1", true}, {"any", nettest.Server4, true},
		} {
			if c.ifname == "any" && name != "ours" {
				continue
			}
			t.Run(name+" "+c.ifname+" "+c.host, func(t *testing.T) {
				t.Parallel()
				_, srv := nettest.Pair(t)
				dir := daemon.start(t, srv, c.ifname, "[options]\nlogfile = %[1]s/log\n[a]\nsequence = 7000,8000\ncommand = true\n")
				if got := knockOn(t, srv, c.host, "7000", "8000"); got.code != 0 {
					t.Fatalf("%+v", got)
				}
				seen := func() bool {
					log, _ := os.ReadFile(filepath.Join(dir, "log"))
					return strings.Contains(string(log), c.host+": a: OPEN SESAME")
				}
				if c.seen {
					nettest.Eventually(t, "the door", seen)
				} else if time.Sleep(500 * time.Millisecond); seen() {
					t.Error("seen")
				}
			})
		}
	}
}
