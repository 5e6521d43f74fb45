package server

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"knockd/internal/control"
)

// ErrNoGroup says that there is no group of a name.
var ErrNoGroup = errors.New("there is no such group")

// Group returns the number of the group whose members may connect, or -1 and a
// doubt, a sentence, if root alone may. That a group is not there which nobody
// has asked for (named) is no doubt. The error is that of the daemon's own group:
// whatever it runs would be let in.
func Group(name string, named bool, own int) (gid int, doubt string, err error) {
	gid, err = numberOf(name, own)
	switch {
	case errors.Is(err, ErrOwnGroup):
		return -1, "", fmt.Errorf("ControlGroup: %w", err)
	case err != nil && (named || !errors.Is(err, ErrNoGroup)):
		return -1, fmt.Sprintf("ControlGroup: %v: the control socket is for root alone", err), nil
	}
	return gid, "", nil
}

func numberOf(name string, own int) (gid int, err error) {
	g, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		if g, err = user.LookupGroupId(name); err != nil {
			return -1, fmt.Errorf("group %s: %w", name, ErrNoGroup)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("group %s: %w", name, err)
	}
	if gid, err = strconv.Atoi(g.Gid); err != nil {
		return -1, fmt.Errorf("group %s: %w", name, err)
	}
	if gid == own {
		return -1, fmt.Errorf("group %s %w", name, ErrOwnGroup)
	}
	return gid, nil
}

// ErrOwnGroup says that a group is the daemon's own.
var ErrOwnGroup = errors.New("is knockd's own, and that of all that it runs: must be another one")

// Access says who may do what. The zero value lets nobody but root do anything.
type Access struct {
	group  uint32
	open   bool // for the group
	admins map[uint32]bool
}

// NewAccess returns the Access of the members of a group (-1: none), of whom
// some users, by name or number, are admins. Doubts are about users who are not:
// a sentence each.
func NewAccess(gid int, admins []string) (a *Access, doubts []string) {
	a = &Access{group: uint32(max(gid, 0)), open: gid >= 0, admins: map[uint32]bool{}}
	for _, name := range admins {
		uid, member, err := userOf(name, gid)
		switch {
		case err != nil:
			doubts = append(doubts, fmt.Sprintf("ControlAdmins: %v", err))
			continue
		case !member && uid != 0:
			doubts = append(doubts, fmt.Sprintf("ControlAdmins: %s is not in the ControlGroup, and cannot connect", name))
		}
		a.admins[uid] = true
	}
	return a, doubts
}

// userOf returns the number of a user and whether a group has him. Of a number
// that has no name nobody knows.
func userOf(name string, gid int) (uid uint32, member bool, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		n, numErr := strconv.ParseUint(name, 10, 32)
		if numErr != nil {
			return 0, false, fmt.Errorf("there is no user %q", name)
		}
		if u, err = user.LookupId(name); err != nil {
			return uint32(n), true, nil
		}
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, false, fmt.Errorf("user %q: %w", name, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return 0, false, fmt.Errorf("the groups of user %q: %w", name, err)
	}
	return uint32(n), gid >= 0 && slices.Contains(groups, strconv.Itoa(gid)), nil
}

// RankOf returns what a peer may do; "" if nothing.
func (a *Access) RankOf(p Peer) control.Rank {
	switch {
	case p.UID == 0:
		return control.Admin
	case !a.open || !slices.Contains(p.GIDs, a.group):
		return ""
	case a.admins[p.UID]:
		return control.Admin
	}
	return control.Reader
}
