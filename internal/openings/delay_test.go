package openings

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

// TestDelays: a start that the system could not run is tried again. What never
// ran is not stopped; what may have, is.
func TestDelays(t *testing.T) {
	always := func(*knock.Opening) bool { return true }
	for _, c := range []struct {
		name string
		o    knock.Opening
		fail int // that many calls of the kernel
		then func(t *testing.T, m *Manager)
		ran  string
		did  string
		log  string
	}{
		{"comes to run", opening("lack 5s; open", "close", 10*time.Second), 0, nil,
			"[0 lack 5s; open 1 lack 5s; open 3 lack 5s; open 7 lack 5s; open 17 close]", "[]", `
0 ssh: running command: lack 5s; open
0 ssh: start command for 192.0.2.1 not run, tried again: start /bin/sh: too many open files
7 ssh: start command run at last for 192.0.2.1
17 192.0.2.1: ssh: command timeout
17 ssh: running command: close
`},
		{"and fails", opening("lack 1s; exit 2", "close", time.Second), 0, nil,
			"[0 lack 1s; exit 2 1 lack 1s; exit 2 2 close]", "[]", `
0 ssh: running command: lack 1s; exit 2
0 ssh: start command for 192.0.2.1 not run, tried again: start /bin/sh: too many open files
1 ssh: start command run at last for 192.0.2.1
1 ssh: command returned non-zero status code (2)
2 192.0.2.1: ssh: command timeout
2 ssh: running command: close
`},
		{"never does", opening("fork", "close", time.Second), 0, nil,
			"[0 fork 1 fork 3 fork 7 fork 15 fork 31 fork 63 fork 127 fork 255 fork 511 fork 600 fork]", "[]", `
0 ssh: running command: fork
0 ssh: start command for 192.0.2.1 not run, tried again: fork: no more processes
600 ssh: start command given up for 192.0.2.1 (fork: no more processes): fork
`},
		{"is closed meanwhile", opening("lack 5s", "close", time.Second), 0,
			func(t *testing.T, m *Manager) { m.Close(always, "the door was removed") },
			"[0 lack 5s 1 lack 5s]", "[]", `
0 ssh: running command: lack 5s
0 ssh: start command for 192.0.2.1 not run, tried again: start /bin/sh: too many open files
2 192.0.2.1: ssh: not opened: the door was removed
`},
		{"the daemon ends meanwhile", opening("lack 5s", "close", time.Second), 0,
			func(t *testing.T, m *Manager) { m.Shutdown(t.Context()) },
			"[0 lack 5s 1 lack 5s]", "[]", `
0 ssh: running command: lack 5s
0 ssh: start command for 192.0.2.1 not run, tried again: start /bin/sh: too many open files
2 dropped before their start command ran: 1 openings
`},
		{"in the kernel", native(10 * time.Second), 2, nil, "[]",
			"[0 open 192.0.2.1 1 open 192.0.2.1 3 open 192.0.2.1 13 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1, tried again: netlink: too many open files
3 ssh: opened tcp/22 for 192.0.2.1 (10 s)
13 ssh: closed for 192.0.2.1
`},
		{"in the kernel, knocked at again", native(10 * time.Second), 3,
			func(t *testing.T, m *Manager) { m.Open(native(20*time.Second), nil) }, "[]",
			"[0 open 192.0.2.1 1 open 192.0.2.1 2 open 192.0.2.1 3 open 192.0.2.1 23 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1, tried again: netlink: too many open files
2 ssh: open tcp/22 for 192.0.2.1, tried again: netlink: too many open files
3 ssh: opened tcp/22 for 192.0.2.1 (20 s)
23 ssh: closed for 192.0.2.1
`},
		{"in the kernel, closed meanwhile", native(10 * time.Second), 2,
			func(t *testing.T, m *Manager) { m.Close(always, "test") }, "[]",
			"[0 open 192.0.2.1 1 open 192.0.2.1 2 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1, tried again: netlink: too many open files
2 ssh: closed for 192.0.2.1: test
`},
		{"in the kernel, never", native(10 * time.Second), 11, nil, "[]",
			"[0 open 192.0.2.1 1 open 192.0.2.1 3 open 192.0.2.1 7 open 192.0.2.1 15 open 192.0.2.1 31 open 192.0.2.1 " +
				"63 open 192.0.2.1 127 open 192.0.2.1 255 open 192.0.2.1 511 open 192.0.2.1 600 open 192.0.2.1 600 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1, tried again: netlink: too many open files
600 ssh: open tcp/22 for 192.0.2.1: netlink: too many open files
600 ssh: closed for 192.0.2.1: it did not open well
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{t: t, begin: time.Now(), fail: c.fail, lacks: syscall.EMFILE, open: map[string]bool{}, busy: map[string]bool{}}
				j := mustOpen(t, dir, "boot")
				m, shell, log := fakes(Options{Actions: map[string]Action{"nft": k}, Journal: j})
				m.Open(c.o, nil)
				time.Sleep(2 * time.Second)
				if c.then != nil {
					c.then(t, m)
				}
				time.Sleep(time.Hour)
				if got := fmt.Sprint(shell.lines()); got != c.ran {
					t.Errorf("ran %s, want %s", got, c.ran)
				}
				if got := k.calls(); got != c.did {
					t.Errorf("did %s, want %s", got, c.did)
				}
				wantText(t, log.String(), c.log)
				if m.Pending() != 0 || j.Len() != 0 || len(m.s.latest) != 0 || k.stillOpen() != 0 {
					t.Errorf("pending %d, journal %d, keys %d, open %d", m.Pending(), j.Len(), len(m.s.latest), k.stillOpen())
				}
				j.Close()
			})
		})
	}
}

// TestDelaysInJournal: after a crash a start that never ran leaves nothing to
// close, and one in the kernel does.
func TestDelaysInJournal(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{t: t, begin: time.Now(), fail: 2, lacks: syscall.EMFILE, open: map[string]bool{}, busy: map[string]bool{}}
		natives := map[string]Action{"nft": k}
		j := mustOpen(t, dir, "boot")
		m, shell, _ := fakes(Options{Actions: natives, Journal: j})
		m.Open(opening("fork", "close", time.Second), nil)
		m.Open(native(time.Minute), nil)
		time.Sleep(2 * time.Second)
		k.kill(true)
		m.kill(shell)
		k.kill(false)
		j = mustOpen(t, dir, "boot")
		if f := j.Found(); len(f) != 1 || f[0].Action != "nft" {
			t.Errorf("found %+v", f)
		}
		m = New(Options{Actions: withShell(natives, shell), Log: &fakeLog{begin: time.Now()}, Journal: j, Now: time.Now})
		m.Adopt()
		time.Sleep(time.Hour)
		if got := k.calls(); got != "[0 open 192.0.2.1 1 open 192.0.2.1 61 close 192.0.2.1]" || len(shell.stops()) != 2 || j.Len() != 0 {
			t.Errorf("did %s, ran %q, %d in the journal", got, shell.stops(), j.Len())
		}
		m.Shutdown(t.Context())
		j.Close()
	})
}
