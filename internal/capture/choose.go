package capture

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/event"
	"knockd/internal/netstate"
)

// DefaultRoute is the name that stands for the interface of the default route.
const DefaultRoute = "default-route"

// DefaultInterface is what is listened on if nobody names another one, as by knockd 0.8.
const DefaultInterface = "eth0"

// ToListenOn returns what a daemon listens on: the names that its command line
// gives, else those of its configuration, else eth0. Where nothing is named and
// there is no eth0 it is the interface of the default route, and note says so.
func ToListenOn(given, configured []string) (names []string, note string) {
	switch {
	case len(given) > 0:
		return given, ""
	case len(configured) > 0:
		return configured, ""
	}
	if _, err := net.InterfaceByName(DefaultInterface); err == nil {
		return []string{DefaultInterface}, ""
	}
	return []string{DefaultRoute},
		"no interface is named and there is no " + DefaultInterface + ": listening on that of the default route"
}

// Listening says what a Followed listens on.
type Listening struct {
	// On has the names of the interfaces, the labels of addresses, or Any;
	// Missing those of the list that there are none of now.
	On, Missing []string
	// Local has the addresses that are the host's own: those of the
	// interfaces, those with the labels, or all.
	Local []netip.Addr
	// Deaf: the socket could not be bound to those that there are; that is
	// tried again.
	Deaf bool
	// News tells of each change of On and Missing.
	News []event.Event

	indexes []int // for Live.Bind
}

// Active reports whether something is listened on.
func (l *Listening) Active() bool { return len(l.On) > 0 && !l.Deaf }

// Look says what a Followed of these names would listen on now.
func Look(names []string) (Listening, error) {
	s, err := netstate.Read()
	if err != nil {
		return Listening{}, err
	}
	return choose(names, s), nil
}

// choose finds the interfaces of a list: names, labels of addresses as
// "eth0:1", Any, DefaultRoute.
func choose(names []string, s *netstate.State) Listening {
	if slices.Contains(names, Any) {
		return Listening{On: []string{Any}, Local: s.Addrs(nil)}
	}
	l := Listening{indexes: []int{}}
	for _, name := range names {
		i, addrs, ok := s.Named(name)
		if name == DefaultRoute {
			i, ok = s.ByIndex(s.Default)
			addrs = i.Addrs
		}
		if !ok {
			l.Missing = appendNew(l.Missing, name)
			continue
		}
		l.indexes = appendNew(l.indexes, i.Index)
		l.Local = append(l.Local, addrs...)
		if !strings.Contains(name, ":") {
			name = i.Name
		}
		l.On = appendNew(l.On, name)
	}
	slices.SortFunc(l.Local, netip.Addr.Compare)
	l.Local = slices.Compact(l.Local)
	return l
}

func appendNew[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// since returns what is new compared with what was before.
func (l *Listening) since(before *Listening) (news []event.Event) {
	for _, name := range l.Missing {
		if !slices.Contains(before.Missing, name) {
			news = append(news, waiting(name))
		}
	}
	for _, name := range l.On {
		if !slices.Contains(before.On, name) {
			news = append(news, event.InterfaceFound{Interface: name})
		}
	}
	return news
}

// Waits tells of all that is missing.
func (l *Listening) Waits() (all []event.Event) {
	for _, name := range l.Missing {
		all = append(all, waiting(name))
	}
	return all
}

func waiting(name string) event.Event {
	if name == DefaultRoute {
		name = ""
	}
	return event.InterfaceMissing{Interface: name}
}
