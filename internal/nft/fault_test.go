package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// faults breaks exchanges with the kernel, counted over all connections.
type faults struct {
	at    int   // the first, from 0
	many  int   // how many in a row
	err   error // what it says
	after bool  // the kernel has done it all the same
	off   bool
	count int
	what  string // the last that was broken
}

// faultyKernel is a kernel that breaks as asked.
type faultyKernel struct {
	kernel
	*faults
}

func (k *faultyKernel) broken(what string) bool {
	// What is listed is there: ENOENT is an answer to a batch.
	if k.off || errors.Is(k.err, unix.ENOENT) && what != "apply" {
		return false
	}
	k.count++
	if k.count-1 < k.at || k.count-1 >= k.at+k.many {
		return false
	}
	k.what = what
	return true
}

func (k *faultyKernel) apply(generation uint32, b func(*nftables.Conn) error) error {
	if k.broken("apply") {
		if k.after {
			k.kernel.apply(generation, b)
		}
		return k.err
	}
	return k.kernel.apply(generation, b)
}

func (k *faultyKernel) generation() (uint32, error) {
	if k.broken("generation") {
		return 0, k.err
	}
	return k.kernel.generation()
}

func (k *faultyKernel) tables() ([]*nftables.Table, error) {
	if k.broken("tables") {
		return nil, k.err
	}
	return k.kernel.tables()
}

func (k *faultyKernel) chains() ([]*nftables.Chain, error) {
	if k.broken("chains") {
		return nil, k.err
	}
	return k.kernel.chains()
}

func (k *faultyKernel) rules(c *nftables.Chain) ([]*nftables.Rule, error) {
	if k.broken("rules") {
		return nil, k.err
	}
	return k.kernel.rules(c)
}

func (k *faultyKernel) sets(t *nftables.Table) ([]*nftables.Set, error) {
	if k.broken("sets") {
		return nil, k.err
	}
	return k.kernel.sets(t)
}

func (k *faultyKernel) elements(s *nftables.Set) ([]nftables.SetElement, error) {
	if k.broken("elements") {
		return nil, k.err
	}
	return k.kernel.elements(s)
}

func (k *faultyKernel) find(s *nftables.Set, e nftables.SetElement) ([]nftables.SetElement, error) {
	if k.broken("find") {
		return nil, k.err
	}
	return k.kernel.find(s, e)
}

// answer is an error as the kernel's answer to a message, and lost one of the
// socket: nobody knows what has become of the batch.
func answer(errno unix.Errno) error {
	return fmt.Errorf("receive: %w", &netlink.OpError{Op: "receive", Err: errno, Sequence: 1})
}

func lost(errno unix.Errno) error {
	return &netlink.OpError{Op: "receive", Err: os.NewSyscallError("recvmsg", errno)}
}

func faulty(t *testing.T, h *nettest.Host, o Options, fault *faults) *Firewall {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	ns, err := os.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	o.NetNS = int(ns.Fd())
	f, err := newFirewall(o, func(netns int) (kernel, error) {
		k, err := dial(netns)
		return &faultyKernel{k, fault}, err
	}, dialEvents)
	if err != nil {
		t.Fatal(err)
	}
	f.retryAfter = 10 * time.Millisecond
	t.Cleanup(func() { f.Close(); ns.Close() })
	return f
}

// TestFaults breaks each exchange of a whole day in turn, in three ways. What
// is reported as open must be open, what is reported as closed closed, what
// failed not open; and all must go well when it is asked for again.
func TestFaults(t *testing.T) {
	t.Parallel()
	errs := map[string]faults{
		"refused":         {err: answer(unix.EBUSY)},
		"lost":            {err: lost(unix.ENOBUFS)},
		"done, but lost":  {err: lost(unix.ENOBUFS), after: true},
		"someone else's":  {err: answer(unix.EPERM)},
		"rules changed":   {err: answer(unix.ERESTART)},
		"nothing is left": {err: answer(unix.ENOENT)},
	}
	for _, mode := range []Mode{Guard, Set, NAT} {
		for name, fault := range errs {
			for _, many := range []int{1, 4} {
				if many > 1 && refused(fault.err) {
					continue // nothing was done: again is as the first time
				}
				t.Run(fmt.Sprintf("%s/%s/%d", mode, name, many), func(t *testing.T) {
					t.Parallel()
					days(t, mode, fault, many)
				})
			}
		}
	}
}

// days breaks one exchange after the other.
func days(t *testing.T, mode Mode, fault faults, many int) {
	for at := 0; ; at++ {
		one := fault
		one.at, one.many = at, many
		day(t, mode, &one)
		if one.what == "" {
			t.Logf("%d exchanges", at)
			return
		}
		if t.Failed() {
			t.Fatalf("when %d exchanges were broken from the %dth, the last %s", many, at, one.what)
		}
	}
}

// day is a start, two openings, a reload, a close and the end, each of which
// is asked for again if it fails.
func day(t *testing.T, mode Mode, fault *faults) {
	server := nettest.NewHost(t, "server")
	doors := []Door{{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}, {DoorID: knock.DoorID{Name: "b"}, Ports: ports(t, "tcp/22-23"), Timeout: time.Hour}}
	if mode == Set {
		server.Load(userSets)
		for i := range doors {
			doors[i].Set4, doors[i].Set6 = filterSet("addr4"), filterSet("port6")
		}
	}
	opening := func(door, a string) Element { return Element{Door: knock.DoorID{Name: door}, Addr: addr(a)} }
	if mode == NAT {
		doors[0].OnePort, doors[1].OnePort = true, true
		opening = func(door, a string) Element {
			to := netip.AddrPortFrom(addr(a), 1)
			return Element{Door: knock.DoorID{Name: door}, Addr: addr(a), Proto: doors[0].Ports[0].Proto, Port: 22, To: to}
		}
	}
	f := faulty(t, server, Options{Mode: mode}, fault)
	twice := func(what string, do func() error) {
		t.Helper()
		for range fault.many + 1 {
			err := do()
			if err == nil {
				return
			}
			if !strings.HasPrefix(err.Error(), what) || strings.Contains(err.Error(), "%!") {
				t.Errorf("%q does not begin with %q", err, what)
			}
			wantKernel(t, f, false)
		}
		t.Errorf("%s: broken for ever", what)
	}
	twice("", func() error { _, err := f.Ensure(doors[:1]); return err })
	for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
		twice("open door a for "+a, func() error { _, err := f.Open(opening("a", a)); return err })
	}
	wantKernel(t, f, true)
	twice("", func() error { _, err := f.Ensure(doors); return err })
	twice("open door b for 192.0.2.2", func() error { _, err := f.Open(opening("b", "192.0.2.2")); return err })
	twice("close door a for 192.0.2.1", func() error { _, err := f.CloseFor(knock.DoorID{Name: "a"}, addr("192.0.2.1")); return err })
	wantKernel(t, f, true)
	twice("", func() error { _, err := f.Ensure(doors[1:]); return err })
	wantKernel(t, f, true)
	twice("close all native doors", func() error { _, err := f.CloseAll(); return err })
	wantKernel(t, f, true)
	f.Close()
}

// wantKernel compares the record with what the kernel really has, once what was
// in doubt is rolled back. When a close has failed, the kernel may have less.
func wantKernel(t *testing.T, f *Firewall, exact bool) {
	t.Helper()
	fault := f.k.(*faultyKernel).faults
	nettest.Eventually(t, "doubtful openings are rolled back", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.rollback.pending) == 0
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	fault.off = true
	defer func() { fault.off = false }()
	var recorded, kernel int
	want := map[setKey]bool{}
	for k := range f.record.until {
		_, needs := f.doors[k.id].elements(k)
		for _, e := range needs {
			want[e] = true
		}
	}
	recorded = len(want)
	have, err := f.present(f.doors)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	for e := range have {
		kernel++
		if !want[e] {
			t.Errorf("open without being known: %s %x", e.set, e.key)
		}
	}
	if exact && recorded != kernel {
		t.Errorf("%d elements in the record, %d in the kernel", recorded, kernel)
	}
}
