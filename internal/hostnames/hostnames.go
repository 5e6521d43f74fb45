// Package hostnames looks up the host names of knockers, in the background.
package hostnames

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Bounds of the look-ups that knockers can cause.
const (
	maxLookups    = 8
	lookupTimeout = 2 * time.Second
	maxNames      = 1024
	nameAge       = time.Hour // then a name is asked for again
)

// Names is what is known of host names. It belongs to one goroutine, the loop
// that post runs functions in.
type Names struct {
	known   map[netip.Addr]hostName
	running int
	post    func(func()) // runs a function in the loop
	lookup  func(ctx context.Context, addr string) ([]string, error)
}

// hostName is a name, or none yet.
type hostName struct {
	name  string
	until time.Time // zero while it is being looked up
}

// New returns Names that know nothing yet. Post has the loop run a function.
func New(post func(func())) *Names {
	return &Names{known: map[netip.Addr]hostName{}, post: post, lookup: net.DefaultResolver.LookupAddr}
}

// Of returns the name of an address, "" if it is not known.
func (n *Names) Of(addr netip.Addr) string { return n.known[addr].name }

// Want asks for the name of an address. Beyond what may run at once nothing
// happens: a name is not worth waiting for.
func (n *Names) Want(addr netip.Addr) {
	was, asked := n.known[addr]
	fresh := asked && (was.until.IsZero() || time.Now().Before(was.until))
	if fresh || n.running >= maxLookups {
		return
	}
	if len(n.known) >= maxNames {
		clear(n.known)
	}
	n.known[addr] = hostName{name: was.name}
	n.running++
	go func() {
		name := n.ask(addr)
		n.post(func() {
			n.running--
			if n.known[addr] = (hostName{name, time.Now().Add(nameAge)}); name == "" {
				delete(n.known, addr) // to be asked again
			}
		})
	}()
}

func (n *Names) ask(addr netip.Addr) string {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := n.lookup(ctx, addr.String())
	if err != nil || len(found) == 0 {
		return ""
	}
	return cleanName(strings.TrimSuffix(found[0], "."))
}

// cleanName returns a host name that is fit for the log, or nothing: whoever
// owns the address wrote it.
func cleanName(name string) string {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_':
		default:
			return ""
		}
	}
	return name
}
