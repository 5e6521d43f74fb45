package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// Recent is a list of the iptables match `recent`: an address in it is let in
// by a rule like `-m recent --rcheck --seconds 30 --name SSH2 -j ACCEPT`. The
// list is there as long as a rule names it; writing it needs root
// (net/netfilter/xt_recent.c).
type Recent struct {
	Name string
	dir  string // for tests; "" means recentDir
}

const recentDir = "/proc/net/xt_recent"

// Open puts an address into the list, or renews the time of one that is in
// it. The rule's own --seconds close the door, or Close does.
func (r Recent) Open(a netip.Addr) error { return r.write("+", a) }

// Close takes an address out of the list; one that is not in it is no error.
func (r Recent) Close(a netip.Addr) error { return r.write("-", a) }

// Check says why the list cannot be written.
func (r Recent) Check() error {
	f, err := os.OpenFile(r.path(), os.O_WRONLY, 0)
	if err != nil {
		return r.fault(err)
	}
	return f.Close()
}

func (r Recent) write(sign string, a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return fmt.Errorf("list %s of xt_recent: not an address", r.Name)
	}
	f, err := os.OpenFile(r.path(), os.O_WRONLY, 0)
	if err != nil {
		return r.fault(err)
	}
	defer f.Close()
	if _, err := f.WriteString(sign + a.String() + "\n"); err != nil {
		return r.fault(err)
	}
	return nil
}

func (r Recent) fault(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("list %s of xt_recent: no rule of iptables names it: %w", r.Name, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("list %s of xt_recent: writing it needs root: %w", r.Name, err)
	}
	return fmt.Errorf("list %s of xt_recent: %w", r.Name, err)
}

func (r Recent) path() string {
	if r.dir != "" {
		return filepath.Join(r.dir, r.Name)
	}
	return filepath.Join(recentDir, r.Name)
}
