package fwknop

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Read reads access.conf and, unless its path is empty, fwknopd.conf. The error
// holds all faults at which fwknopd itself would not start, each with its place;
// what it takes and knockd cannot do is in the notes.
func Read(access, conf string, files Files) (*Import, error) {
	i := &Import{}
	r := &reader{files: files}
	s := i.readServer(r, conf)
	r.read(access, 0, Place{})
	stanzas := splitStanzas(i, r.vars)
	if len(stanzas) == 0 && len(r.faults) == 0 {
		r.faults = append(r.faults, fmt.Errorf("%s: has no SOURCE, so there is no stanza", access))
	}
	for n, vars := range stanzas {
		i.stanza(r, s, "fwknop"+strconv.Itoa(n+1), vars)
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	i.general(s)
	return i, nil
}

// general adds what concerns all doors.
func (i *Import) general(s server) {
	if len(i.Doors) == 0 {
		return
	}
	if slices.ContainsFunc(i.Doors, func(d Door) bool { return d.get("open") != "" }) {
		i.Options = []Setting{{"nft_mode", "mark"}}
		i.note(Changed, Place{}, "nft_mode = mark closes no port, as fwknopd closed none. It holds for every door of knockd.conf: what "+
			"nft_mode = guard keeps shut there is open then to all whom your own rules let in")
		i.note(Changed, Place{}, "iptables chains: knockd uses nftables. nft_mode = mark opens what your own rules drop, as fwknopd did, once "+
			"one rule accepts the mark; knockd -t prints that rule. IPT_INPUT_ACCESS and its like have no meaning any more")
	}
	i.snat(s)
	i.note(Changed, Place{}, "replay: what was sent before knockd's store was made is refused, also within spa_max_age")
	if s.forwarded {
		i.note(Lost, Place{}, "trusted_proxies must be added by hand where X-Forwarded-For is to count")
	}
}

func (d Door) get(name string) string {
	for _, s := range d.Settings {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}

// splitStanzas cuts the variables at each SOURCE; what stands before the first
// is skipped, as fwknopd does.
func splitStanzas(i *Import, vars []variable) (stanzas [][]variable) {
	for _, v := range vars {
		switch {
		case v.name == "SOURCE":
			stanzas = append(stanzas, []variable{v})
		case stanzas == nil:
			i.note(Lost, v.at, "%s: stands before the first SOURCE, where fwknopd skips it", v.name)
		default:
			last := len(stanzas) - 1
			stanzas[last] = append(stanzas[last], v)
		}
	}
	return stanzas
}

// stanza is one stanza on its way to a door.
type stanza struct {
	*Import
	r        *reader
	srv      server
	door     Door
	vars     map[string]variable // of a name given twice the last
	rejected string              // why it cannot become a door
}

func (i *Import) stanza(r *reader, srv server, name string, vars []variable) {
	before := len(i.Notes)
	s := &stanza{Import: i, r: r, srv: srv, vars: map[string]variable{}, door: Door{Name: name, Place: vars[0].at}}
	for n, v := range vars {
		v.order = n
		if old, twice := s.vars[v.name]; twice {
			i.note(Changed, old.at, "%s: given again in line %d, which counts", v.name, v.at.Line)
		}
		s.vars[v.name] = v
		if !stanzaVars[v.name] && !strings.HasPrefix(v.name, "GPG_") {
			i.note(Lost, v.at, "%s: unknown to fwknopd, too", v.name)
		}
	}
	s.keys()
	s.sources()
	s.ports()
	s.times()
	s.requirements()
	s.cycle()
	s.nat()
	s.leftovers()
	if s.rejected != "" {
		notes := slices.DeleteFunc(i.Notes[before:], func(n Note) bool { return n.Kind != Lost })
		i.Notes = i.Notes[:before+len(notes)]
		i.note(Lost, s.door.Place, "the stanza becomes no door: %s", s.rejected)
		return
	}
	i.Doors = append(i.Doors, s.door)
	i.note(Carried, s.door.Place, "the stanza is door [%s]", name)
}

var stanzaVars = words("SOURCE DESTINATION KEY KEY_BASE64 HMAC_KEY HMAC_KEY_BASE64 HMAC_DIGEST_TYPE ENCRYPTION_MODE OPEN_PORTS RESTRICT_PORTS FW_ACCESS_TIMEOUT " +
	"MAX_FW_TIMEOUT REQUIRE_SOURCE_ADDRESS REQUIRE_SOURCE REQUIRE_USERNAME ACCESS_EXPIRE ACCESS_EXPIRE_EPOCH CMD_CYCLE_OPEN CMD_CYCLE_CLOSE CMD_CYCLE_TIMER " +
	"ENABLE_CMD_EXEC CMD_EXEC_USER CMD_EXEC_GROUP ENABLE_CMD_SUDO_EXEC CMD_SUDO_EXEC_USER CMD_SUDO_EXEC_GROUP FORCE_NAT FORCE_SNAT FORCE_MASQUERADE FORWARD_ALL DISABLE_DNAT")

// value returns a variable without the blanks at its end, which count for keys
// alone.
func (s *stanza) value(name string) (string, Place, bool) {
	v, ok := s.vars[name]
	return strings.TrimRight(v.value, " \t"), v.at, ok
}

func (s *stanza) set(name, value string) {
	s.door.Settings = append(s.door.Settings, Setting{name, value})
}

// reject has the stanza become no door.
func (s *stanza) reject(why string) {
	if s.rejected == "" {
		s.rejected = why
	}
}

// maxSeconds is the longest time that fwknopd takes.
const maxSeconds = 8388608

// seconds returns the number of a variable, or its default, which 0 stands for
// where it may be said.
func (s *stanza) seconds(name string, low, def int64) string {
	text, at, ok := s.value(name)
	n, rest := readNumber(text)
	switch {
	case ok && (n < low || n > maxSeconds):
		s.r.fault(at, "%s: must be a number from %d to %d", name, low, maxSeconds)
		n = def
	case !ok || n == 0:
		n = def
	}
	number := strconv.FormatInt(n, 10)
	s.behind(at, name, number, rest)
	return number
}

func (s *stanza) sources() {
	s.set("spa_port", s.srv.ports)
	if s.srv.transports != nil {
		s.set("spa_transport", strings.Join(s.srv.transports, ", "))
	}
	if nets := s.networks("SOURCE"); nets != "" {
		s.set("allow", nets)
		s.set("allow_inside", "0.0.0.0/0")
		s.note(Carried, s.vars["SOURCE"].at, "SOURCE: allow; as in fwknopd any address inside the packet may be opened (allow_inside), which is more than most people mean")
	}
	nets := s.networks("DESTINATION")
	_, at, _ := s.value("DESTINATION")
	switch {
	case nets == "":
	case s.srv.udp:
		s.note(Changed, at, "DESTINATION: never fitted with ENABLE_UDP_SERVER; it does now")
		fallthrough
	default:
		s.set("destination", nets)
	}
}

// networks turns a list of addresses and networks into one of knockd's; "" is
// any.
func (s *stanza) networks(name string) string {
	text, at, ok := s.value(name)
	if !ok {
		return ""
	}
	var nets []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.Trim(item, " \t")
		if strings.EqualFold(item, "ANY") {
			return ""
		}
		p, rest, err := network(item)
		switch {
		case err == errMask:
			s.reject(fmt.Sprintf("%s: %q: %v", name, item, err))
			continue
		case err != nil:
			s.r.fault(at, "%s: %q: %w", name, item, err)
			continue
		}
		s.behind(at, name, p, rest)
		nets = append(nets, p)
	}
	return strings.Join(nets, ", ")
}

var (
	errNetwork = errors.New("must be ANY, an IPv4 address or a network from /1 to /32")
	errMask    = errors.New("the mask is that of no network; write ADDRESS/BITS, or ANY")
)

// network reads an address, ADDRESS/BITS or ADDRESS/MASK, and what stands behind
// it.
func network(item string) (text, rest string, err error) {
	addr, mask, cut := strings.Cut(item, "/")
	a, rest, ok := readAddress(addr)
	switch {
	case !ok:
		return "", "", errNetwork
	case !cut:
		return a.String(), rest, nil
	}
	bits, rest, ok := readBits(mask)
	switch {
	case ok:
		return netip.PrefixFrom(a, bits).Masked().String(), rest, nil
	case strings.Contains(mask, ".") && len(mask) <= longestMask:
		return "", "", errMask
	}
	return "", "", errNetwork
}

func (s *stanza) times() {
	if _, _, cycle := s.value("CMD_CYCLE_OPEN"); cycle {
		return // see cycle
	}
	s.set("cmd_timeout", s.seconds("FW_ACCESS_TIMEOUT", 0, 30))
	s.set("max_timeout", s.seconds("MAX_FW_TIMEOUT", 0, 300))
	s.set("spa_max_age", s.srv.maxAge)
}

func (s *stanza) requirements() {
	required := "no"
	for _, name := range []string{"REQUIRE_SOURCE_ADDRESS", "REQUIRE_SOURCE"} {
		if v, _, _ := s.value(name); yes(v) {
			required = "yes"
		}
	}
	s.set("require_source", required)
	if v, at, ok := s.value("REQUIRE_USERNAME"); ok {
		s.set("require_user", v)
		if strings.ContainsAny(v, " \t") {
			s.note(Changed, at, "REQUIRE_USERNAME: as fwknopd reads it %q is the whole name; if that is a comment, no client has fitted it", v)
		}
	}
	s.expires()
}

// expires reads the date from which the stanza is of no use. One before 1970 is
// none to fwknopd.
func (s *stanza) expires() {
	if v, at, ok := s.value("ACCESS_EXPIRE"); ok {
		day, rest, ok := readDate(v)
		switch {
		case !ok:
			s.r.fault(at, "ACCESS_EXPIRE: must be MM/DD/YYYY")
		case day.Unix() > 0:
			s.set("expires", day.Format(time.DateOnly))
			s.behind(at, "ACCESS_EXPIRE", day.Format(time.DateOnly), rest)
		default:
			s.note(Carried, at, "ACCESS_EXPIRE: is before 1970, which fwknopd does not take for a date")
		}
		return
	}
	v, at, ok := s.value("ACCESS_EXPIRE_EPOCH")
	n, rest := readNumber(v)
	switch {
	case n == math.MaxInt64:
		s.r.fault(at, "ACCESS_EXPIRE_EPOCH: must be a number of seconds")
	case n > lastSecond:
		s.note(Carried, at, "ACCESS_EXPIRE_EPOCH: is after the year 9999, so the door never expires")
	case n > 0:
		s.set("expires", time.Unix(n, 0).UTC().Format(time.RFC3339))
		s.behind(at, "ACCESS_EXPIRE_EPOCH", strconv.FormatInt(n, 10), rest)
	case ok:
		s.note(Carried, at, "ACCESS_EXPIRE_EPOCH: is before 1970, which fwknopd does not take for a date")
	}
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799
