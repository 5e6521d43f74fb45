package check

import (
	"fmt"
	"slices"
	"strings"

	"knockd/internal/capture"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/netstate"
)

// interfaces says what could be listened on now.
func (s Setup) interfaces(r *Report) {
	names, byDefault := capture.ToListenOn(s.Interfaces, s.Conf.Interfaces)
	now, err := capture.Look(names)
	if err != nil {
		r.warn(err.Error())
		return
	}
	var waits []string
	for _, name := range now.Missing {
		waits = append(waits, waitsFor(name))
	}
	if now.Active() {
		r.warn(waits...)
		r.advise(unlistened(now.On)...)
		return
	}
	means, closed := firewall.Unheard(s.Conf)
	if byDefault != "" && len(means) == 0 {
		return // nobody has named an interface, and nobody is locked out
	}
	r.warn(strings.Join(append(waits, event.Texts(means)...), "; "))
	r.Nothing = "nothing to listen on"
	if closed != "" {
		r.Nothing += ", and " + closed + " shut"
	}
}

func waitsFor(name string) string {
	if name == capture.DefaultRoute {
		return "waiting for a default route: there is none now"
	}
	if strings.Contains(name, ":") {
		return "waiting for interface " + name + ": no address has this label now"
	}
	return "waiting for interface " + name + ": there is none of this name now"
}

// unlistened says where knocks may come in and not be captured.
func unlistened(on []string) (advice []string) {
	s, err := netstate.Read()
	if err != nil || slices.Contains(on, capture.Any) {
		return nil
	}
	var indexes []int
	for _, name := range on {
		i, _, ok := s.Named(name)
		indexes = append(indexes, i.Index)
		if ok && !i.Up {
			advice = append(advice, "interface "+name+" is down: nothing is heard on it now")
		}
	}
	if i, ok := s.ByIndex(s.Default); ok && !slices.Contains(indexes, i.Index) {
		advice = append(advice, fmt.Sprintf("the default route leads through %s, which is not listened on: no knock that comes in there is heard", i.Name))
	}
	return advice
}
