package spa

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"knockd/internal/knock"
)

// judge is one door's policy on a packet that is authentic, timely and new.
func (d *Door) judge(r *Request, now time.Time) (Grant, error) {
	m := &r.msg
	switch {
	case !d.Expires.IsZero() && !now.Before(d.Expires):
		return Grant{}, errors.New("the door's expiry date has passed")
	case m.Type == Command:
		return Grant{}, errors.New("it is a command message; commands are never run")
	case d.RequireUser != "" && m.User != d.RequireUser:
		return Grant{}, errors.New("not the user name that require_user asks for")
	}
	addr, err := d.address(r)
	if err != nil {
		return Grant{}, err
	}
	if err := d.ports(m.Ports); err != nil {
		return Grant{}, err
	}
	o := Grant{Addr: addr, Ports: m.Ports, Timeout: d.timeout(m.Timeout)}
	if m.Type.nat() {
		o.Local = m.Type.local()
		o.NAT = r.natTarget(o.Local)
		if err := d.nat(m, *o.NAT, addr); err != nil {
			return Grant{}, err
		}
	}
	return o, nil
}

// address returns the one to open, if it may be opened.
func (d *Door) address(r *Request) (netip.Addr, error) {
	addr := r.msg.Address
	if addr.IsUnspecified() {
		if d.RequireSource {
			return addr, errors.New("it leaves the address to the sender; require_source wants it named")
		}
		addr = r.src
		if r.forwarded.IsValid() && inAny(d.Proxies, r.src) {
			addr = r.forwarded
		}
	}
	switch {
	case special(addr):
		return addr, errors.New("the address to open is unspecified, loopback, multicast or has a zone")
	case !addr.Is4() && !d.IPv6:
		return addr, errors.New("the address to open is IPv6; the door lacks spa_ipv6 = yes")
	case inAny(d.Deny, addr):
		return addr, fmt.Errorf("the address to open, %v, is in deny", addr)
	case len(d.Allow) > 0 && !inAny(d.Allow, addr) && !inAny(d.AllowInside, addr):
		return addr, fmt.Errorf("the address to open, %v, is not in allow or allow_inside", addr)
	}
	return addr, nil
}

// special reports whether an address is nobody's in particular.
func special(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != ""
}

func (d *Door) ports(ports []knock.Step) error {
	for _, p := range ports {
		if err := d.Permits(p); err != nil {
			return err
		}
	}
	return nil
}

// Permits returns an error unless a message may ask for a port.
func (d *Door) Permits(p knock.Step) error {
	switch {
	case anyContains(d.DenyPorts, p):
		return fmt.Errorf("%v is in deny_ports", p.Ports())
	case d.Opens(p) || anyContains(d.AllowPorts, p):
		return nil
	case len(d.AllowPorts) > 0:
		return fmt.Errorf("%v is not in open or allow_ports", p.Ports())
	}
	return fmt.Errorf("%v is not in open", p.Ports())
}

// Opens reports whether the door opens a port without a command.
func (d *Door) Opens(p knock.Step) bool { return anyContains(d.Open, p) }

// timeout caps what the client asks for; a door's own timeout is not capped, as
// in fwknopd.
func (d *Door) timeout(asked time.Duration) time.Duration {
	if asked == 0 || d.MaxTimeout <= 0 {
		return d.Timeout
	}
	return min(asked, d.MaxTimeout)
}

// natTarget returns where a NAT message leads. The stock client fills in for
// local NAT what it calls the server by: a name, or an address that means
// nothing here, stands for the one that the packet was sent to.
func (r *Request) natTarget(local bool) *NATTarget {
	to := r.msg.NAT
	if local && (!to.Addr.IsValid() || special(to.Addr)) {
		to.Addr = r.dst
	}
	return &to
}

func (d *Door) nat(m *Message, target NATTarget, opened netip.Addr) error {
	switch {
	case len(d.NAT) == 0:
		return errors.New("it asks for NAT, which the door does not allow")
	case d.NoForward && !m.Type.local():
		return errors.New("it asks for NAT to another host, and the door takes local NAT alone (nat_only)")
	case d.NoLocal && m.Type.local():
		return errors.New("it asks for local NAT, and the door takes NAT to other hosts alone (nat_only)")
	case !target.Addr.IsValid():
		return errors.New("it asks for NAT to a name; only addresses are taken")
	case special(target.Addr):
		return fmt.Errorf("it asks for NAT to %v, which is unspecified, loopback, multicast or has a zone", target.Addr)
	case target.Addr.Is4() != opened.Is4():
		return errors.New("it asks for NAT between IPv4 and IPv6")
	case len(m.Ports) != 1:
		return errors.New("it asks for NAT of more than one port")
	case !d.Opens(m.Ports[0]):
		return fmt.Errorf("it asks for NAT of %v, which is not in open", m.Ports[0].Ports())
	}
	to := knock.Step{Proto: m.Ports[0].Proto, Port: target.Port}
	for _, rule := range d.NAT {
		if rule.Net.Contains(target.Addr) && rule.Ports.Has(to) {
			return nil
		}
	}
	return fmt.Errorf("it asks for NAT to %v %v, which is not in nat_allow", target.Addr, to.Ports())
}
