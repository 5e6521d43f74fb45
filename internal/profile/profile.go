package profile

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"knockd/internal/client"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Profile is what the configuration says about a host. What it does not say
// is nil, empty or zero.
type Profile struct {
	Host         string     // the name to look up; empty: the one asked for
	Address      netip.Addr // where to knock, in place of a lookup
	Sequence     []knock.Step
	SequenceFile string // a file with the sequence
	OneTimeFile  string // a file with sequences to be used once
	Delay        *time.Duration
	Wait         uint16 // the TCP port to wait for
	Timeout      *time.Duration
	Retry        *int
	Family       *client.Family
	Flags        knock.Flags
	Source       netip.Addr
	Interface    string

	// SPA asks by one packet in place of a sequence, if SPAKeyFile is named.
	SPA        spa.Profile
	SPAKeyFile string // as knockd's, with the client's keys
	SPAClient  string // its section in that file; empty: the only one
}

// Config is a configuration file: sections of settings, in file order.
type Config struct {
	sections []section
}

// section is the part of a file below a line in brackets.
type section struct {
	names    []string // as in ssh_config: names or patterns
	settings []setting
}

// setting is one line of a section.
type setting struct {
	key, value string
	line       int
}

// Find returns the profile of a host: the settings of all sections that fit
// its name, of each key the first. A section fits by one of its names; in a
// name * stands for any text and ? for one character. No fitting section: not
// ok.
func (c *Config) Find(name string) (p Profile, ok bool) {
	seen := map[string]bool{}
	for _, s := range c.sections {
		if !s.fits(name) {
			continue
		}
		ok = true
		for _, set := range s.settings {
			if group := exclusive(set.key); !seen[group] {
				seen[group] = true
				keys[set.key](&p, set.value) // checked by Parse
			}
		}
	}
	return p, ok
}

// Names returns the sections' names that are no patterns, in file order, each
// once.
func (c *Config) Names() []string {
	var names []string
	for _, s := range c.sections {
		for _, name := range s.names {
			if !strings.ContainsAny(name, "*?[") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// fits reports whether the section is about a host. Names of hosts have no case.
func (s section) fits(host string) bool {
	for _, name := range s.names {
		if ok, _ := path.Match(strings.ToLower(name), strings.ToLower(host)); ok {
			return true
		}
	}
	return false
}

// exclusive maps keys of which a door has only one to a common name.
func exclusive(key string) string {
	switch key {
	case "sequence", "sequence_file", "one_time_file", "spa_key_file":
		return "sequence"
	}
	return key
}

// SSHConfig returns the lines of ssh_config by which plain ssh knocks at the
// host: its connection is the one by which knock has seen that the door is open.
// Options go to knock, each with a blank before it.
func (p Profile) SSHConfig(name, options string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s\n", name)
	switch {
	case p.Host != "":
		fmt.Fprintf(&b, "    HostName %s\n", p.Host)
	case p.Address.IsValid():
		fmt.Fprintf(&b, "    HostName %s\n", p.Address)
	}
	if p.Wait != 0 && p.Wait != 22 {
		fmt.Fprintf(&b, "    Port %d\n", p.Wait)
	}
	fmt.Fprintf(&b, "    ProxyCommand knock proxy%s --profile %%n %%h %%p\n", options)
	return b.String()
}
