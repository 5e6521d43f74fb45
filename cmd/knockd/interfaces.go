package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/netstate"
)

// interfacesOf is what to listen on: -i, else the file, else eth0. Where
// nothing names an interface and there is no eth0 it is the default route's,
// and note says so.
func (o *options) interfacesOf(conf *config.Config) (names []string, note string) {
	switch {
	case len(o.interfaces) > 0:
		return o.interfaces, ""
	case len(conf.Interfaces) > 0:
		return conf.Interfaces, ""
	}
	if _, err := net.InterfaceByName(defaultInterface); err == nil {
		return []string{defaultInterface}, ""
	}
	return []string{config.DefaultRoute},
		"no interface is named and there is no " + defaultInterface + ": listening on that of the default route"
}

// checkInterfaces reads the names that -i gives.
func (o *options) checkInterfaces() error {
	if o.flags.Changed("interface") {
		names, err := config.ParseInterfaces(strings.Join(o.interfaces, ","))
		if err != nil {
			return fmt.Errorf("-i: %w", err)
		}
		o.interfaces = names
	}
	return nil
}

// checkInterfacesNow says what could be listened on now. Where that is
// nothing, it returns what that means in a few words.
func (o *options) checkInterfacesNow(conf *config.Config, stderr io.Writer) (nothing string) {
	names, byDefault := o.interfacesOf(conf)
	now, err := capture.Look(names)
	if err != nil {
		o.warn(stderr, err.Error())
		return ""
	}
	var waits []string
	for _, name := range now.Missing {
		waits = append(waits, waitsFor(name))
	}
	if now.Active() {
		o.warn(stderr, waits...)
		advise(stderr, unlistened(now.On)...)
		return ""
	}
	means, closed := firewall.Unheard(conf)
	if byDefault != "" && len(means) == 0 {
		return "" // nobody has named an interface, and nobody is locked out
	}
	o.warn(stderr, strings.Join(append(waits, event.Texts(means)...), "; "))
	if closed != "" {
		return "nothing to listen on, and " + closed + " shut"
	}
	return "nothing to listen on"
}

func waitsFor(name string) string {
	if name == config.DefaultRoute {
		return "waiting for a default route: there is none now"
	}
	if strings.Contains(name, ":") {
		return "waiting for interface " + name + ": no address has this label now"
	}
	return "waiting for interface " + name + ": there is none of this name now"
}

// unlistened says where knocks may come in and not be heard.
func unlistened(on []string) (advice []string) {
	s, err := netstate.Read()
	if err != nil || slices.Contains(on, config.AnyInterface) {
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
