package hostnames

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestNames: what is asked, what is remembered, and for how long.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan func(), 1000)
		n := New(func(call func()) { calls <- call })
		var asked, most, running atomic.Int32
		n.lookup = func(ctx context.Context, addr string) ([]string, error) {
			asked.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			switch {
			case strings.HasPrefix(addr, "10."): // hangs
				<-ctx.Done()
				return nil, ctx.Err()
			case strings.HasPrefix(addr, "172."):
				return nil, errors.New("no such host")
			}
			return []string{"h-" + strings.ReplaceAll(addr, ".", "-") + "."}, nil
		}
		lookUp := func() {
			time.Sleep(lookupTimeout)
			synctest.Wait()
			for len(calls) > 0 {
				(<-calls)()
			}
		}
		is := func(addr, want string, wantAsked int32) {
			t.Helper()
			if got := n.Of(netip.MustParseAddr(addr)); got != want || asked.Load() != wantAsked {
				t.Errorf("%s is %q, asked %d times; want %q, %d", addr, got, asked.Load(), want, wantAsked)
			}
		}
		want := func(addr string) { n.Want(netip.MustParseAddr(addr)) }

		want("192.0.2.1")
		want("192.0.2.1")
		is("192.0.2.1", "", asked.Load())
		lookUp()
		is("192.0.2.1", "h-192-0-2-1", 1)
		want("192.0.2.1")
		lookUp()
		is("192.0.2.1", "h-192-0-2-1", 1)
		time.Sleep(nameAge)
		want("192.0.2.1")
		is("192.0.2.1", "h-192-0-2-1", asked.Load()) // the old one until there is a new one
		lookUp()
		is("192.0.2.1", "h-192-0-2-1", 2)

		want("172.16.0.1")
		lookUp()
		want("172.16.0.1") // to be asked again
		lookUp()
		is("172.16.0.1", "", 4)

		asked.Store(0)
		for i := range 100 {
			want(fmt.Sprintf("10.0.0.%d", i))
		}
		lookUp()
		is("10.0.0.1", "", maxLookups)
		if most.Load() != maxLookups {
			t.Errorf("%d at once, want %d", most.Load(), maxLookups)
		}
		for i := range 3 * maxNames {
			want(fmt.Sprintf("198.18.%d.%d", i/256, i%256))
			lookUp()
			if len(n.known) > maxNames+maxLookups {
				t.Fatalf("%d names are held", len(n.known))
			}
		}
	})
}

func TestCleanName(t *testing.T) {
	for _, c := range [][2]string{
		{"a-b_c.Example9", "a-b_c.Example9"},
		{"", ""},
		{"a b", ""},
		{"a\nb", ""},
		{"a)b", ""},
		{"a\x1b[2Jb", ""},
		{"bücher.example", ""},
		{"$(reboot)", ""},
	} {
		if got := cleanName(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
}
