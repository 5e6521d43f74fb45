// Package xtrecent opens a door by writing an address to a list of the match
// recent: rules of iptables that name the list let it in.
package xtrecent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// Action writes the list that is the value of an opening's arguments. A rule
// like `-m recent --rcheck --seconds 30 --name SSH2 -j ACCEPT` reads it; the list is there as
// long as a rule names it (net/netfilter/xt_recent.c).
type Action struct {
	dir string // for tests; "" means recentDir
}

const recentDir = "/proc/net/xt_recent"

// Open puts an address into the list, or renews the time of one that is in
// it. The rule's own --seconds close the door, or Close does.
func (x Action) Open(_ context.Context, o *knock.Opening) (status int, err error) {
	return 0, x.write(o.Args.Value, "+", o.Addr)
}

// Close takes an address out of the list; one that is not in it is no error,
// nor is it that no rule has that list any more.
func (x Action) Close(_ context.Context, o *knock.Opening) (status int, err error) {
	err = x.write(o.Args.Value, "-", o.Addr)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return 0, err
}

// Traits implements openings.Action.
func (Action) Traits() knock.Traits { return knock.Traits{} }

// Text names the list.
func (Action) Text(o *knock.Opening) string { return "list " + o.Args.Value }

// Check says why the list cannot be written.
func (x Action) Check(args knock.Arguments) error {
	f, err := os.OpenFile(x.path(args.Value), os.O_WRONLY, 0)
	if err != nil {
		return fault(args.Value, err)
	}
	return f.Close()
}

// Needs returns what the kernel asks of those who write lists.
func (Action) Needs(knock.Arguments) uint64 { return 1 << unix.CAP_NET_ADMIN }

func (x Action) write(list, sign string, a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return fmt.Errorf("list %s of xt_recent: not an address", list)
	}
	f, err := os.OpenFile(x.path(list), os.O_WRONLY, 0)
	if err != nil {
		return fault(list, err)
	}
	defer f.Close()
	if _, err := f.WriteString(sign + a.String() + "\n"); err != nil {
		return fault(list, err)
	}
	return nil
}

func fault(list string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("list %s of xt_recent: no rule of iptables names it: %w", list, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("list %s of xt_recent: writing it needs root: %w", list, err)
	}
	return fmt.Errorf("list %s of xt_recent: %w", list, err)
}

func (x Action) path(list string) string {
	if x.dir != "" {
		return filepath.Join(x.dir, list)
	}
	return filepath.Join(recentDir, list)
}
