package openings

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
)

// closedNatives notes what is closed without a shell, by kind.
type closedNatives struct {
	missing
	kind string
	note func(what, kind string, o *knock.Opening)
}

func (n closedNatives) Open(_ context.Context, o *knock.Opening) (int, error) {
	n.note("open ", n.kind, o)
	return 0, nil
}

func (n closedNatives) Close(_ context.Context, o *knock.Opening) (int, error) {
	n.note("close ", n.kind, o)
	return 0, nil
}

// TestEarlierBuild: what a daemon left that was killed, of a build that kept the
// arguments of native openings as text, is closed, each opening as it has to be:
// at its time, or at once if the machine was started since.
func TestEarlierBuild(t *testing.T) {
	text, err := os.ReadFile("testdata/untyped.journal")
	if err != nil {
		t.Fatal(err)
	}
	const opened = 8170388752280 // the last of them
	for boot, at := range map[string]time.Duration{"boot": 600 * time.Second, "another": 0} {
		t.Run(boot, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "test.journal"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				got := map[string]*knock.Opening{}
				var mu sync.Mutex
				var m *Manager
				var shell *fakeShell
				note := func(what, kind string, o *knock.Opening) {
					mu.Lock()
					defer mu.Unlock()
					unmarked := *o
					unmarked.Mark = ""
					for _, p := range m.Openings() {
						if p.Action == kind && p.Opening == unmarked {
							got[what+kind] = &p.Opening
						}
					}
				}
				natives := map[string]Action{}
				for _, kind := range []string{"nft", "nat", "xt_recent"} {
					natives[kind] = closedNatives{kind: kind, note: note}
				}
				j := mustOpen(t, dir, boot)
				m, shell, _ = fakes(Options{
					Journal: j, Actions: natives, Workers: 1,
					Now: func() time.Time { return time.Unix(0, opened).Add(time.Since(begin)) },
				})
				if n := m.Adopt(); n != 5 {
					t.Errorf("%d taken over", n)
				}
				if boot == "boot" {
					time.Sleep(at - 2*time.Second)
					if m.Pending() != 5 {
						t.Errorf("%d held before their time", m.Pending())
					}
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				var stops []string
				for _, l := range shell.lines() {
					var s float64
					fmt.Sscan(l, &s)
					stops = append(stops, l[len(fmt.Sprint(s))+1:])
				}
				if diff := cmp.Diff([]string{
					"iptables -D INPUT -s 192.0.2.2 -p tcp --dport 22 -j ACCEPT",
					"iptables -D INPUT -s 192.0.2.2 -p tcp --dport 8443 -j ACCEPT", // the second door of a name
				}, stops); diff != "" {
					t.Errorf("stop commands (-want +got):\n%s", diff)
				}
				addr := netip.MustParseAddr("192.0.2.2")
				want := map[string]*knock.Opening{
					"close nft": {Door: knock.DoorID{Name: "native", N: 1}, Vars: knock.Vars{Port: "7042", Proto: "tcp"}, What: "tcp/22",
						Args: knock.Arguments{Version: 1}},
					"close xt_recent": {Door: knock.DoorID{Name: "list", N: 1}, Vars: knock.Vars{Port: "7052", Proto: "tcp"}, What: "list KNOCKED",
						Args: knock.Arguments{Version: 1, Value: "KNOCKED"}},
					"close nat": {Door: knock.DoorID{Name: "web", N: 1}, Vars: knock.Vars{Client: "default", Src: "192.0.2.2", Dst: "192.0.2.1"}, What: "tcp/2200 to 10.9.0.2:22",
						Args: knock.Arguments{Version: 1, Port: knock.Step{Proto: knock.TCP, Port: 2200}, To: netip.MustParseAddrPort("10.9.0.2:22")}},
				}
				for what, o := range want {
					o.Action = what[len("close "):]
					o.Addr, o.Vars.IP, o.Vars.Door, o.Timeout = addr, "192.0.2.2", o.Door.Name, 600*time.Second
				}
				equal := cmp.Comparer(func(a, b knock.Opening) bool { return a == b })
				if diff := cmp.Diff(want, got, equal); diff != "" {
					t.Errorf("natives (-want +got):\n%s", diff)
				}
				if j.Len() != 0 || m.Pending() != 0 {
					t.Errorf("%d in the journal, %d held", j.Len(), m.Pending())
				}
				j.Close()
			})
		})
	}
}
