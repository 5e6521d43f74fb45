package nft

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		os.Exit(child(os.Args[2:]))
	}
	// Most of the time is spent waiting for doors to close.
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		p.Value.Set("8")
	}
	nettest.Main(m)
}

// notices collects what a Firewall says.
type notices struct {
	mu  sync.Mutex
	all []event.Event
}

func (n *notices) add(one event.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, one)
}

func (n *notices) texts() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(event.Texts(n.all), "\n")
}

// closed are the openings that somebody has closed, as words has them.
func (n *notices) closed() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.all {
		var closed []event.Opening
		switch e := one.(type) {
		case event.ClosedByOthers:
			closed = e.Closed
		case event.Restored:
			closed = e.Closed
		}
		for _, o := range closed {
			all = append(all, fmt.Sprintf("%s/%d %s", o.Door.Name, o.Door.N, o.For))
		}
	}
	return all
}

// firewall makes a Firewall in a host, closed with the test.
func firewall(t testing.TB, h *nettest.Host, o Options) *Firewall {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	ns, err := os.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	o.NetNS = int(ns.Fd())
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		ns.Close()
	})
	return f
}

// ensure makes the rules fit doors and returns the warnings.
func ensure(t testing.TB, f *Firewall, doors ...Door) []string {
	t.Helper()
	warnings, err := f.Ensure(doors)
	if err != nil {
		t.Fatal(err)
	}
	return event.Texts(warnings)
}

func open(t testing.TB, f *Firewall, o Element) Element {
	t.Helper()
	got, err := f.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ports reads a list of ports.
func ports(t testing.TB, s string) []knock.PortRange {
	t.Helper()
	var list []knock.PortRange
	for word := range strings.SplitSeq(s, ",") {
		r, err := knock.ParsePortRange(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	remaining = regexp.MustCompile(` expires [0-9dhms]+`)
	counters  = regexp.MustCompile(`packets \d+ bytes \d+`)
	// Versions of nft differ in how they name a table's owner.
	owner = regexp.MustCompile(`( # progname .*|(?m:^)\tflags (owner|persist|owner,persist)?\n\n?)`)
)

// ruleset lists a host's rules without what changes by itself.
func ruleset(h *nettest.Host) string {
	text := h.Run("nft", "list", "ruleset")
	text = remaining.ReplaceAllString(text, "")
	text = counters.ReplaceAllString(text, "packets 0 bytes 0")
	return owner.ReplaceAllString(text, "")
}

// lines joins a list for comparison.
func lines(list []string) string { return strings.Join(list, "\n") }

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// The connection is for one at a time, and the monitor may be using it.

func elementsOf(f *Firewall, set *target) ([]nftables.SetElement, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.k.elements(set.nf())
}

func generationOf(f *Firewall) (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.k.generation()
}

func itoa(n int) string { return strconv.Itoa(n) }
