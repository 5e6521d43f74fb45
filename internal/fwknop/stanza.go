package fwknop

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// keys makes the key file. Every key is written as base64, so that blanks and
// semicolons cannot change it.
func (s *stanza) keys() {
	key, _ := s.key("KEY", spa.MaxKey)
	hmac, hasHMAC := s.key("HMAC_KEY", spa.MaxHMACKey)
	if key == nil {
		if s.gpg() {
			s.reject("it has GPG keys only, and GPG is not supported")
		} else if !s.names("KEY") {
			s.r.fault(s.door.Place, "the stanza has neither KEY nor GPG keys")
		}
		return
	}
	if hasHMAC && string(key) == string(hmac) {
		s.r.fault(s.door.Place, "KEY and HMAC_KEY are equal")
	}
	lines := "# The keys of " + s.door.Place.String() + "\nKEY_BASE64: " + base64.StdEncoding.EncodeToString(key) + "\n"
	if hasHMAC {
		lines += "HMAC_KEY_BASE64: " + base64.StdEncoding.EncodeToString(hmac) + "\n" + s.digestType()
	} else {
		s.set("spa_hmac", "none")
		s.note(Changed, s.door.Place, "no HMAC_KEY: spa_hmac = none; give the clients an HMAC key")
	}
	s.door.Keys = lines + s.mode(hasHMAC)
	if s.gpg() {
		s.note(Lost, s.door.Place, "GPG keys beside KEY: GPG is not supported; clients that use it must change to KEY")
	}
}

func (s *stanza) gpg() bool {
	for name := range s.vars {
		if strings.HasPrefix(name, "GPG_") {
			return true
		}
	}
	return false
}

// names reports whether the stanza has a key, be it one that was reported.
func (s *stanza) names(name string) bool {
	_, raw := s.vars[name]
	_, enc := s.vars[name+"_BASE64"]
	return raw || enc
}

// key returns a key's octets and whether the stanza has it. Of a raw and a
// base64 one fwknopd takes the last.
func (s *stanza) key(name string, limit int) ([]byte, bool) {
	raw, isRaw := s.vars[name]
	enc, isEnc := s.vars[name+"_BASE64"]
	if isRaw && isEnc {
		isRaw, isEnc = raw.order > enc.order, enc.order > raw.order
		s.note(Changed, s.door.Place, "%s and %s_BASE64 are there; the last one counts", name, name)
	}
	key, at := []byte(raw.value), raw.at
	if isEnc {
		at = enc.at
	}
	switch {
	case isRaw && strings.HasPrefix(raw.value, "__CHANGEME__"), isEnc && strings.HasPrefix(enc.value, "__CHANGEME__"):
		s.r.fault(at, "%s: still the placeholder of the example, with which fwknopd does not start", name)
		return nil, true
	case isEnc:
		var err error
		if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(enc.value, "= \t")); err != nil {
			s.r.fault(at, "%s_BASE64: not base64", name)
			return nil, true
		}
	case !isRaw:
		return nil, false
	}
	if len(key) == 0 || len(key) > limit {
		s.reject(fmt.Sprintf("%s has %d octets, and packets take 1 to %d; fwknopd refused them all", name, len(key), limit))
		return nil, true
	}
	return key, true
}

func (s *stanza) digestType() string {
	v, at, ok := s.value("HMAC_DIGEST_TYPE")
	if !ok {
		return ""
	}
	h, known := spa.ParseHash(v)
	if !known {
		s.r.fault(at, "HMAC_DIGEST_TYPE: must be one of "+spa.HashNames)
		return ""
	}
	return "HMAC_DIGEST_TYPE: " + h.String() + "\n"
}

func (s *stanza) mode(hmac bool) string {
	v, at, ok := s.value("ENCRYPTION_MODE")
	switch {
	case !ok || strings.EqualFold(v, "CBC"):
		return ""
	case strings.EqualFold(v, "legacy") && hmac:
		s.r.fault(at, "ENCRYPTION_MODE: legacy goes without HMAC_KEY")
	case strings.EqualFold(v, "legacy"):
		return "ENCRYPTION_MODE: legacy\n"
	default:
		s.note(Lost, at, "ENCRYPTION_MODE %s: only CBC and legacy are supported", v)
		s.reject("its encryption mode is not supported")
	}
	return ""
}

const allPorts = "tcp/1-65535, udp/1-65535"

// ports says what may be asked for. The firewall opens it, or with a command
// cycle the command alone.
func (s *stanza) ports() {
	name := "open"
	if _, _, cycle := s.value("CMD_CYCLE_OPEN"); cycle {
		name = "allow_ports"
	}
	open, at, ok := s.portList("OPEN_PORTS")
	switch {
	case !ok:
		s.set(name, allPorts)
		s.note(Changed, s.door.Place, "no OPEN_PORTS: as in fwknopd a client may ask for any port; name those that are meant in %s", name)
	case len(open) == 0:
		s.note(Lost, at, "OPEN_PORTS: no port of it can be asked for, so fwknopd never opened one")
		s.reject("it never opened a port")
	default:
		s.set(name, strings.Join(open, ", "))
	}
	if deny, _, ok := s.portList("RESTRICT_PORTS"); ok && len(deny) > 0 {
		s.set("deny_ports", strings.Join(deny, ", "))
	}
}

// portList reads a list of ports. One that is there twice never matches in
// fwknopd, and is left out.
func (s *stanza) portList(name string) (ports []string, at Place, ok bool) {
	text, at, ok := s.value(name)
	if !ok {
		return nil, at, false
	}
	count := map[knock.Step]int{}
	var order []knock.Step
	for item := range strings.SplitSeq(text, ",") {
		one, rest, err := readPort(item)
		switch {
		case err != nil:
			s.r.fault(at, "%s: %w", name, err)
			return nil, at, true
		case one.Port == 0:
			s.note(Changed, at, "%s: %q names port 0, which no client asks for; it is left out", name, strings.TrimSpace(item))
			continue
		}
		s.behind(at, name, one.Ports().String(), rest)
		if count[one]++; count[one] == 1 {
			order = append(order, one)
		}
	}
	for _, p := range order {
		if count[p] == 1 {
			ports = append(ports, p.Ports().String())
		} else {
			s.note(Changed, at, "%s: %v is there twice, and so never matched in fwknopd; it is left out", name, p.Ports())
		}
	}
	return ports, at, true
}

// readPort reads PROTOCOL/PORT as fwknopd does, and what stands behind it. For
// port 0 it returns the zero Step.
func readPort(item string) (p knock.Step, rest string, err error) {
	proto, number, cut := strings.Cut(strings.TrimLeft(item, " \t"), "/")
	known := false
	p.Proto, known = knock.ParseProtocol(proto)
	n, rest := readNumber(number)
	switch {
	case !cut || !known:
		return p, "", fmt.Errorf("%q: must be written tcp/N or udp/N", strings.TrimSpace(item))
	case n < 0 || n > math.MaxUint16:
		return p, "", fmt.Errorf("%q: must be a port from 0 to 65535", strings.TrimSpace(item))
	case n == 0:
		return knock.Step{}, rest, nil
	}
	return knock.Step{Proto: p.Proto, Port: uint16(n)}, rest, nil
}

// cycle turns a command cycle into start and stop command.
func (s *stanza) cycle() {
	open, at, ok := s.value("CMD_CYCLE_OPEN")
	closing, closeAt, hasClose := s.value("CMD_CYCLE_CLOSE")
	if !ok {
		if hasClose {
			s.note(Lost, closeAt, "CMD_CYCLE_CLOSE: has no effect without CMD_CYCLE_OPEN")
		}
		return
	}
	none, ran := isNone(closing)
	if nothing, _ := isNone(open); nothing {
		s.reject("CMD_CYCLE_OPEN " + open + " is no command, so it never opened anything")
	}
	_, _, timed := s.value("CMD_CYCLE_TIMER")
	switch {
	case !hasClose:
		s.r.fault(at, "CMD_CYCLE_OPEN: CMD_CYCLE_CLOSE is missing")
	case !none && !timed:
		s.r.fault(at, "CMD_CYCLE_OPEN: CMD_CYCLE_TIMER is missing")
	}
	if none && ran {
		s.note(Changed, closeAt, "CMD_CYCLE_CLOSE %s: there is no stop command; fwknopd ran a program of this name, in vain", closing)
	}
	seconds := s.seconds("CMD_CYCLE_TIMER", 1, 30)
	s.seconds("FW_ACCESS_TIMEOUT", 0, 30) // of no effect, but fwknopd reads it
	command, notes := shellCommand(open, seconds)
	s.set("start_command", command)
	if !none {
		closing, more := shellCommand(closing, seconds)
		s.set("stop_command", closing)
		notes = append(notes, slices.DeleteFunc(more, func(n string) bool { return slices.Contains(notes, n) })...)
	}
	s.set("cmd_timeout", seconds)
	s.set("max_timeout", s.seconds("MAX_FW_TIMEOUT", 0, 300))
	s.set("spa_max_age", s.srv.maxAge)
	for _, n := range notes {
		s.note(Changed, at, "command: %s", n)
	}
	s.note(Changed, at, "command cycle: allow_ports and max_timeout hold for it now, it runs once for each port asked for, and doors are closed when knockd stops")
}

// nat says where clients may be led: fwknopd has a switch for other hosts and one
// for its own.
func (s *stanza) nat() {
	forward, local := s.srv.forwarding, s.srv.localNAT
	switch _, _, cycle := s.value("CMD_CYCLE_OPEN"); {
	case !forward && !local:
		return
	case cycle:
		s.note(Changed, s.door.Place, "NAT messages ran the command, for the outer port, and led nowhere; they are refused now")
		return
	}
	s.set("nat_allow", "0.0.0.0/0 tcp/1-65535, 0.0.0.0/0 udp/1-65535")
	switch {
	case !forward:
		s.set("nat_only", "local")
		s.note(Changed, s.door.Place, "ENABLE_IPT_LOCAL_NAT alone: a client may be led to any port of this host and, more than fwknopd asks, to no other; "+
			"name the ports that are meant in nat_allow")
	case !local:
		s.set("nat_only", "forward")
		s.note(Changed, s.door.Place, "ENABLE_IPT_FORWARDING alone: as in fwknopd a client may be led to any other host; name those that are meant in nat_allow")
	default:
		s.note(Changed, s.door.Place, "ENABLE_IPT_FORWARDING and ENABLE_IPT_LOCAL_NAT: as in fwknopd a client may be led anywhere; name the hosts that are meant in nat_allow")
	}
	if s.srv.masquerade.on && forward {
		s.set("nat_masquerade", "yes")
	}
}

// snat reports what becomes of ENABLE_IPT_SNAT.
func (i *Import) snat(s server) {
	switch {
	case !s.masquerade.on:
	case slices.ContainsFunc(i.Doors, func(d Door) bool { return d.get("nat_masquerade") != "" }):
		i.note(Changed, s.masquerade.at, "ENABLE_IPT_SNAT: nat_masquerade = yes, with the address of the outgoing interface")
	default:
		i.note(Carried, s.masquerade.at, "ENABLE_IPT_SNAT: no door leads to another host")
	}
}

// leftovers reports what has no counterpart.
func (s *stanza) leftovers() {
	for _, name := range []string{"ENABLE_CMD_EXEC", "ENABLE_CMD_SUDO_EXEC"} {
		if v, at, ok := s.value(name); ok && yes(v) {
			s.note(Lost, at, "%s: commands in packets are always refused; the door opens ports all the same", name)
		}
	}
	for _, name := range []string{"FORCE_NAT", "FORCE_SNAT", "FORCE_MASQUERADE", "FORWARD_ALL", "DISABLE_DNAT"} {
		v, at, ok := s.value(name)
		if !ok || name != "FORCE_NAT" && name != "FORCE_SNAT" && !yes(v) {
			continue
		}
		s.note(Lost, at, "%s: where NAT leads is the client's word within nat_allow, and nobody else's", name)
		if name == "FORCE_NAT" {
			s.reject("FORCE_NAT has no counterpart: a client that asks for a port would reach this host in place of the one behind it")
		}
	}
}
