package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"knockd/internal/config"
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

// warnMissing says which interfaces there are not now; the daemon would wait
// for them.
func warnMissing(names []string, stderr io.Writer) {
	for _, name := range names {
		if name == config.AnyInterface || name == config.DefaultRoute {
			continue
		}
		if _, err := net.InterfaceByName(name); err != nil {
			fmt.Fprintf(stderr, "knockd: warning: waiting for interface %s: there is none of this name now\n", name)
		}
	}
}
