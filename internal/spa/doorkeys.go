package spa

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// NewDoor returns a door with the defaults of the configuration. It opens
// nothing until its keys are set.
func NewDoor(name string) *Door {
	d := &Door{Name: name, HMAC: SHA256, Timeout: DefaultTimeout, MaxTimeout: DefaultMaxTimeout, MaxAge: DefaultMaxAge}
	d.Listen = both(DefaultPort, DefaultPort)
	return d
}

// both is a range of ports for UDP and, since a SYN may carry a packet, TCP.
func both(first, last uint16) []PortRange {
	return []PortRange{{knock.UDP, first, last}, {knock.TCP, first, last}}
}

// doorKeys are the keys of the configuration that make up a Door, each with what
// it does.
var doorKeys = map[string]func(d *Door, v string) error{
	"spa_key_file":   func(d *Door, v string) error { return word(&d.KeyFile, v) },
	"spa_port":       func(d *Door, v string) (err error) { d.Listen, err = parseListen(v); return err },
	"spa_hmac":       func(d *Door, v string) (err error) { d.HMAC, err = parseHMAC(v); return err },
	"spa_max_age":    func(d *Door, v string) error { return setSeconds(&d.MaxAge, v, 1, 100000) },
	"spa_ipv6":       func(d *Door, v string) error { return setYes(&d.IPv6, v) },
	"open":           func(d *Door, v string) (err error) { d.Open, err = ParseRanges(v); return err },
	"deny_ports":     func(d *Door, v string) (err error) { d.Deny, err = ParseRanges(v); return err },
	"allow":          func(d *Door, v string) (err error) { d.Allow, err = ParsePrefixes(v); return err },
	"allow_inside":   func(d *Door, v string) (err error) { d.AllowInside, err = ParsePrefixes(v); return err },
	"destination":    func(d *Door, v string) (err error) { d.Destination, err = ParsePrefixes(v); return err },
	"require_user":   func(d *Door, v string) error { return word(&d.RequireUser, v) },
	"require_source": func(d *Door, v string) error { return setYes(&d.RequireSource, v) },
	"expires":        func(d *Door, v string) (err error) { d.Expires, err = ParseExpires(v); return err },
	"cmd_timeout":    func(d *Door, v string) error { return setSeconds(&d.Timeout, v, 0, 1<<31-1) },
	"max_timeout":    func(d *Door, v string) error { return setSeconds(&d.MaxTimeout, v, 0, 1<<31-1) },
	"nat_allow":      func(d *Door, v string) (err error) { d.NAT, err = ParseNAT(v); return err },
}

// IsDoorKey says whether Set knows the key, in small letters.
func IsDoorKey(key string) bool { return doorKeys[key] != nil }

// Set sets a key of the configuration, written in small letters, from its value.
// The error is the rule that the value breaks. An unknown key is an error, too.
func (d *Door) Set(key, value string) error {
	set := doorKeys[key]
	if set == nil {
		return errors.New("no key of a door with spa_key_file")
	}
	return set(d, value)
}

// LoadKeys reads the clients from KeyFile.
func (d *Door) LoadKeys() (err error) {
	d.Clients, err = LoadKeys(d.KeyFile, d.HMAC)
	return err
}

// Advice says what is allowed and not good about the door and its clients, one
// sentence each.
func (d *Door) Advice() []string {
	var advice []string
	if !d.RequireSource {
		advice = append(advice, "require_source = no: whoever passes a packet on from another address opens the door for that one; yes is safer, where no phone app needs it")
	}
	for _, c := range d.Clients {
		for _, a := range c.Advice() {
			advice = append(advice, "client "+c.Name+": "+a)
		}
	}
	return advice
}

// LargestAge returns the largest MaxAge of the doors: what the Store must
// remember.
func LargestAge(doors []*Door) time.Duration {
	age := time.Duration(0)
	for _, d := range doors {
		age = max(age, d.MaxAge)
	}
	return age
}

func word(to *string, v string) error {
	if v == "" {
		return errors.New("must not be empty")
	}
	*to = v
	return nil
}

func setYes(to *bool, v string) error {
	switch strings.ToLower(v) {
	case "yes":
		*to = true
	case "no":
		*to = false
	default:
		return errors.New("must be yes or no")
	}
	return nil
}

func setSeconds(to *time.Duration, v string, low, high uint64) error {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < low || n > high || !allDigits(v) {
		return fmt.Errorf("must be a number of seconds from %d to %d", low, high)
	}
	*to = time.Duration(n) * time.Second
	return nil
}

func parseHMAC(v string) (Hash, error) {
	h, ok := ParseHash(v)
	if !ok && !strings.EqualFold(v, "none") {
		return 0, errors.New("must be none or one of " + HashNames)
	}
	return h, nil
}

// list calls parse for each item of a list with commas; blanks around an item
// do not count.
func list(v string, parse func(item string) error) error {
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.Trim(item, " \t"); item == "" {
			return errors.New("an item of the list is empty")
		}
		if err := parse(item); err != nil {
			return err
		}
	}
	return nil
}

func parseListen(v string) (ports []PortRange, err error) {
	err = list(v, func(item string) error {
		first, last, err := parseRange(item)
		ports = append(ports, both(first, last)...)
		return err
	})
	return ports, err
}

// parseRange reads "22" or "60001-60010".
func parseRange(s string) (first, last uint16, err error) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	if first, err = parsePort(a); err != nil {
		return 0, 0, err
	}
	if last, err = parsePort(b); err != nil {
		return 0, 0, err
	}
	if first > last {
		return 0, 0, fmt.Errorf("port range %s: ends before it begins", s)
	}
	return first, last, nil
}

// ParseRanges reads "tcp/22, udp/60001-60010".
func ParseRanges(v string) (ranges []PortRange, err error) {
	err = list(v, func(item string) error {
		r, err := parsePortRange(item)
		ranges = append(ranges, r)
		return err
	})
	return ranges, err
}

func parsePortRange(s string) (r PortRange, err error) {
	proto, ports, _ := strings.Cut(s, "/")
	switch strings.ToLower(proto) {
	case "tcp":
		r.Proto = knock.TCP
	case "udp":
		r.Proto = knock.UDP
	default:
		return r, errors.New("port: must be written tcp/N, udp/N or with a range N-M")
	}
	r.First, r.Last, err = parseRange(ports)
	return r, err
}

// ParsePrefixes reads "192.0.2.0/24, 2001:db8::1": networks and addresses.
func ParsePrefixes(v string) (prefixes []netip.Prefix, err error) {
	err = list(v, func(item string) error {
		p, err := parsePrefix(item)
		prefixes = append(prefixes, p)
		return err
	})
	return prefixes, err
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q: must be an address or a network such as 192.0.2.0/24", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%v: has bits behind the network, which is %v", p, p.Masked())
	}
	return p, nil
}

// ParseExpires reads a day, whose first moment of local time counts, or a time of
// RFC 3339.
func ParseExpires(v string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, v, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return t, errors.New("must be a day such as 2027-01-31 or a time such as 2027-01-31T18:00:00Z")
	}
	return t, nil
}

// ParseNAT reads "10.0.0.0/24 tcp/22, 10.0.1.7 tcp/443": where NAT messages may
// lead.
func ParseNAT(v string) (rules []NATRule, err error) {
	err = list(v, func(item string) error {
		f := strings.Fields(item)
		if len(f) != 2 {
			return fmt.Errorf("%q: must be a network and a port such as 10.0.0.0/24 tcp/22", item)
		}
		to, err := parsePrefix(f[0])
		if err != nil {
			return err
		}
		port, err := parsePortRange(f[1])
		rules = append(rules, NATRule{to, port})
		return err
	})
	return rules, err
}
