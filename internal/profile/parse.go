package profile

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"knockd/internal/client"
	"knockd/internal/spa"
)

// Parse reads a configuration. All its faults are reported at once, each with
// its line.
func Parse(name string, src []byte) (*Config, error) {
	p := &parser{name: name, config: &Config{}}
	for i, line := range strings.Split(string(src), "\n") {
		p.line = i + 1
		p.take(strings.TrimSpace(strings.TrimPrefix(line, "\ufeff")))
	}
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	return p.config, nil
}

// parser is where a file is read to.
type parser struct {
	name   string
	line   int
	config *Config
	faults []error
}

// fault reports the line, and goes on.
func (p *parser) fault(format string, args ...any) {
	where := fmt.Sprintf("%s:%d: ", p.name, p.line)
	p.faults = append(p.faults, fmt.Errorf(where+format, args...))
}

// take reads one line, without the blanks around it.
func (p *parser) take(line string) {
	switch {
	case line == "" || line[0] == '#' || line[0] == ';':
	case line[0] == '[':
		p.section(line)
	case len(p.config.sections) == 0:
		p.fault("a setting before the first section: must be below a [HOST]")
	default:
		p.setting(line)
	}
}

// section begins a section.
func (p *parser) section(line string) {
	names := strings.Fields(strings.Trim(line, "[]"))
	if !strings.HasSuffix(line, "]") || len(names) == 0 {
		p.fault("section: must be a name in brackets")
	}
	for _, name := range names {
		if _, err := path.Match(name, ""); err != nil {
			p.fault("section [%s]: not a pattern", name)
		}
	}
	p.config.sections = append(p.config.sections, section{names: names})
}

// setting adds a setting to the section, once it is checked. What it says is
// a secret: messages repeat only the part that is wrong.
func (p *parser) setting(line string) {
	s := &p.config.sections[len(p.config.sections)-1]
	key, value, found := strings.Cut(line, "=")
	set := setting{strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value), p.line}
	title := "[" + strings.Join(s.names, " ") + "]"
	if !found {
		p.fault("%s: must be KEY = VALUE", title)
		return
	}
	check, known := keys[set.key]
	if !known {
		p.fault("%s %s: no such key", title, set.key)
		return
	}
	for _, other := range s.settings {
		if exclusive(other.key) == exclusive(set.key) {
			p.fault("%s %s: excludes the %s of line %d", title, set.key, other.key, other.line)
			return
		}
	}
	if err := check(&Profile{}, set.value); err != nil {
		p.fault("%s %s: %w", title, set.key, err)
		return
	}
	s.settings = append(s.settings, set)
}

// keys are the settings, each with what it does to a profile.
var keys = map[string]func(*Profile, string) error{
	"host":          func(p *Profile, v string) error { return hostWord(&p.Host, v) },
	"address":       func(p *Profile, v string) (err error) { p.Address, err = parseAddr(v); return },
	"sequence":      func(p *Profile, v string) (err error) { p.Sequence, err = client.ReadSequence(v); return },
	"sequence_file": func(p *Profile, v string) error { return word(&p.SequenceFile, v) },
	"one_time_file": func(p *Profile, v string) error { return word(&p.OneTimeFile, v) },
	"delay":         func(p *Profile, v string) error { return keep(&p.Delay, v, client.ParseDelay) },
	"wait":          func(p *Profile, v string) (err error) { p.Wait, err = client.ParseWait(v); return },
	"timeout":       func(p *Profile, v string) error { return keep(&p.Timeout, v, client.ParseTimeout) },
	"retry":         func(p *Profile, v string) error { return keep(&p.Retry, v, client.ParseRetry) },
	"family":        func(p *Profile, v string) error { return keep(&p.Family, v, client.ParseFamily) },
	"flags":         func(p *Profile, v string) (err error) { p.Flags, err = client.ParseFlags(v); return },
	"source":        func(p *Profile, v string) (err error) { p.Source, err = parseAddr(v); return },
	"interface":     func(p *Profile, v string) error { return word(&p.Interface, v) },
	"spa_key_file":  func(p *Profile, v string) error { return word(&p.SPAKeyFile, v) },
	"spa_client":    func(p *Profile, v string) error { return word(&p.SPAClient, v) },
	"spa_access":    func(p *Profile, v string) (err error) { p.SPA.Access, err = spa.ParseAccess(v); return },
	"spa_allow":     func(p *Profile, v string) (err error) { p.SPA.Allow, err = spa.ParseAllow(v); return },
	"spa_port":      func(p *Profile, v string) (err error) { p.SPA.Port, err = spa.ParsePort(v); return },
	"spa_proto":     func(p *Profile, v string) (err error) { p.SPA.Proto, err = spa.ParseProto(v); return },
	"spa_timeout":   func(p *Profile, v string) (err error) { p.SPA.Timeout, err = client.ParseOpenTime(v); return },
	"spa_user":      func(p *Profile, v string) error { return word(&p.SPA.User, v) },
}

// keep stores a value that may be zero and yet be said.
func keep[T any](to **T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	*to = &v
	return err
}

// word stores a text that must not be empty.
func word(to *string, text string) error {
	if *to = text; text == "" {
		return errors.New("is empty")
	}
	return nil
}

// hostWord stores a host's name.
func hostWord(to *string, text string) error {
	if err := word(to, text); err != nil {
		return err
	}
	return client.CheckHost(text)
}

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, fmt.Errorf("%q is not an IP address", text)
	}
	return addr.Unmap(), nil
}
