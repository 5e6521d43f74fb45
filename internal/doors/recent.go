package doors

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// RecentKind is the Opening.Kind of doors of the iptables match `recent`.
const RecentKind = "xt_recent"

// Recent opens doors by writing the knocker's address to a list of the iptables
// match `recent` (/proc/net/xt_recent/NAME, man iptables-extensions). The name
// of the list is Opening.Data. It needs root.
type Recent struct {
	Dir string // empty: /proc/net/xt_recent
}

var _ Native = Recent{}

// ValidRecentName says why a name cannot be a list's; nil if it can.
func ValidRecentName(name string) error {
	// XT_RECENT_NAME_LEN is 200 with the final zero; the kernel refuses / too.
	if name == "" || len(name) > 199 || name == "." || name == ".." || strings.ContainsAny(name, "/\x00\n") {
		return fmt.Errorf("xt_recent: %q: must be the name of a list: 1 to 199 characters without /", name)
	}
	return nil
}

// Open adds the address, or renews it.
func (r Recent) Open(_ context.Context, o *Opening) error { return r.write(o, '+') }

// Close takes the address out.
func (r Recent) Close(_ context.Context, o *Opening) error {
	err := r.write(o, '-')
	if errors.Is(err, os.ErrNotExist) {
		return nil // no rule has that list any more
	}
	return err
}

func (r Recent) write(o *Opening, do byte) error {
	if err := ValidRecentName(o.Data); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(o.Vars.IP)
	if err != nil {
		return fmt.Errorf("xt_recent holds addresses, not %s", o.Vars.IP)
	}
	dir := r.Dir
	if dir == "" {
		dir = "/proc/net/xt_recent"
	}
	f, err := os.OpenFile(filepath.Join(dir, o.Data), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(string(do) + addr.Unmap().String() + "\n")
	return err
}
