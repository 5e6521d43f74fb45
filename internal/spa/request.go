package spa

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/knock"
)

// The ports that fwknop's random choices come from, both included.
const (
	firstRandomPort = 10000
	lastRandomPort  = 65534
)

// RandomPort returns a port as fwknop's --rand-port and --nat-rand-port choose
// one.
func RandomPort() uint16 {
	return uint16(firstRandomPort + rand.IntN(lastRandomPort-firstRandomPort+1))
}

// Message returns what the profile asks of the server: allow is the address to
// open, the zero Addr for the sender's own. Nothing in the profile is resolved.
func (p Profile) Message(now time.Time, allow netip.Addr) (Message, error) {
	m := Message{User: p.User, Time: now.Add(p.TimeOffset), Type: Access, Address: allow, Ports: p.Access, Timeout: p.Timeout}
	if m.User == "" {
		m.User = "NO_USER"
	}
	if len(m.Ports) == 0 {
		return Message{}, errors.New("no port to ask for")
	}
	if p.NATLocal || p.NATAccess != "" {
		if err := p.addNAT(&m); err != nil {
			return Message{}, err
		}
	}
	if p.NATPort != 0 || p.NATRandom {
		if len(m.Ports) != 1 {
			return Message{}, errors.New("an outer port for NAT goes with one port")
		}
		m.Ports = []knock.Step{{Proto: m.Ports[0].Proto, Port: p.outerPort()}}
	}
	if p.Timeout > 0 {
		m.Type = map[Type]Type{Access: AccessTimed, NATAccess: NATAccessTimed, LocalNAT: LocalNATTimed}[m.Type]
	}
	return m, nil
}

// addNAT makes a NAT message of it, as fwknop's -N and --nat-local do.
func (p Profile) addNAT(m *Message) error {
	m.Type = NATAccess
	host := p.NATAccess
	if p.NATLocal {
		m.Type = LocalNAT
		if host == "" {
			host = p.Server
		}
	}
	host, port := splitTarget(host)
	m.NAT = NATTarget{Host: host, Port: m.Ports[0].Port}
	m.NAT.Addr, _ = parseAddress(host)
	if port != "" {
		var err error
		if m.NAT.Port, err = ParsePort(port); err != nil {
			return fmt.Errorf("NAT target: %w", err)
		}
	}
	return nil
}

// splitTarget cuts "HOST:PORT", "HOST,PORT", "[IPV6]:PORT", "IPV6,PORT" or a host
// alone.
func splitTarget(s string) (host, port string) {
	if host, port, ok := strings.Cut(s, ","); ok {
		return strings.Trim(host, "[]"), port
	}
	if strings.HasPrefix(s, "[") {
		host, port, _ := strings.Cut(s[1:], "]")
		return host, strings.TrimPrefix(port, ":")
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Count(s, ":") == 1 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// outerPort returns what fwknop's --nat-port and --nat-rand-port put in the
// place of the port asked for, whether NAT is asked for or not.
func (p Profile) outerPort() uint16 {
	if p.NATRandom {
		return RandomPort()
	}
	return p.NATPort
}

// Check returns why the keys cannot make packets that servers take, or nil. It is
// for keys from options and profiles; ParseKeys has checked its own.
func (c Client) Check() error {
	switch {
	case len(c.Key) == 0:
		return errors.New("no key for the encryption")
	case len(c.Key) > MaxKey:
		return fmt.Errorf("the encryption key has %d octets: must be at most %d", len(c.Key), MaxKey)
	case c.HMAC != 0 && len(c.HMACKey) == 0:
		return errors.New("no key for the HMAC")
	case len(c.HMACKey) > MaxHMACKey:
		return fmt.Errorf("the HMAC key has %d octets: must be at most %d", len(c.HMACKey), MaxHMACKey)
	case string(c.Key) == string(c.HMACKey):
		return errors.New("the keys for encryption and HMAC are equal")
	case c.Mode == Legacy && c.HMAC != 0:
		return errors.New("legacy mode goes without HMAC")
	}
	return nil
}
