package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// SPA is an Opener that sends one authorization packet of fwknop's kind each
// time; each is a new one, since servers take none twice.
type SPA struct {
	Route
	spa.Profile
	// IPv6 permits servers over IPv6 and IPv6 addresses in the message, which
	// stock servers do not know.
	IPv6 bool
	// AddressService is asked for the address to open, if the profile says resolve.
	AddressService AddressService
	// OnPacket, if set, is called before each packet with how it is sent.
	OnPacket func(proto string, to netip.AddrPort)

	outside [2]netip.Addr // as answered, IPv6 and IPv4: nobody is asked twice
}

// How long a transport that makes a connection may take.
const spaPatience = 5 * time.Second

// ErrSPAIPv6 is a mistake of a profile that only sending brings to light.
var ErrSPAIPv6 = errors.New("servers of fwknop know IPv4 alone")

// SPAProtoError is a transport of fwknop that is not supported.
type SPAProtoError struct{ Proto string }

// Error says so.
func (e *SPAProtoError) Error() string { return "transport " + e.Proto + " is not supported" }

// Ask sends a packet to each host. It suffices that one of them can be reached.
func (s *SPA) Ask(ctx context.Context, hosts []netip.Addr, _ int) error {
	return anyOf(hosts, func(host netip.Addr) error { return s.ask(ctx, host) })
}

func (s *SPA) ask(ctx context.Context, host netip.Addr) error {
	if host.Is6() && !s.IPv6 {
		return &HitError{host, ErrSPAIPv6}
	}
	if err := s.possible(host); err != nil {
		return err
	}
	packet, err := s.packet(ctx, host, time.Now())
	if err != nil {
		return err
	}
	to, proto := s.Target(host), s.transport()
	if s.OnPacket != nil {
		s.OnPacket(proto, to)
	}
	if err := s.send(ctx, proto, to, packet); err != nil {
		return &HitError{host, err}
	}
	return nil
}

// possible says what the profile asks for in vain, before anybody is asked for
// an address: without a network it would be that which is said.
func (s *SPA) possible(host netip.Addr) error {
	if _, err := s.Message(time.Time{}, netip.Addr{}); err != nil {
		return err
	}
	proto := s.transport()
	switch {
	case spaTransports[proto] == nil:
		return &HitError{host, &SPAProtoError{proto}}
	case proto == "icmp" && host.Is6():
		return &HitError{host, &SPAProtoError{"icmp over IPv6"}}
	}
	return nil
}

// Target returns where a packet for the host goes; with a random port another
// one each time.
func (s *SPA) Target(host netip.Addr) netip.AddrPort {
	port := s.Port
	switch {
	case s.RandomPort:
		port = spa.RandomPort()
	case port == 0:
		port = spa.DefaultPort
	}
	return netip.AddrPortFrom(host, port)
}

func (s *SPA) transport() string {
	if s.Proto == "" {
		return "udp"
	}
	return s.Proto
}

// packet seals what the profile asks for.
func (s *SPA) packet(ctx context.Context, host netip.Addr, now time.Time) ([]byte, error) {
	allow, err := s.allow(ctx, host)
	if err != nil {
		return nil, err
	}
	m, err := s.Message(now, allow)
	if err != nil {
		return nil, err
	}
	return spa.Seal(m, s.Client, s.Digest)
}

// allow returns the address to open; the zero Addr is the one that the packet
// comes from.
func (s *SPA) allow(ctx context.Context, host netip.Addr) (netip.Addr, error) {
	switch s.Allow {
	case "source":
		return netip.Addr{}, nil
	case "resolve":
		return s.outsideAddress(ctx, host.Is4())
	case "":
		return s.ownAddress(ctx, host)
	}
	addr, err := netip.ParseAddr(s.Allow)
	if err != nil {
		return addr, fmt.Errorf("%q is not an IP address", s.Allow)
	}
	if addr.Unmap().Is6() && !s.IPv6 {
		return addr, ErrSPAIPv6
	}
	return addr.Unmap(), nil
}

// outsideAddress asks for the address to open, once.
func (s *SPA) outsideAddress(ctx context.Context, v4 bool) (a netip.Addr, err error) {
	known := &s.outside[0]
	if v4 {
		known = &s.outside[1]
	}
	if !known.IsValid() {
		*known, err = s.AddressService.Address(ctx, v4)
	}
	return *known, err
}

// ownAddress returns this machine's towards the host, unless a router on the
// way seems to replace it.
func (s *SPA) ownAddress(ctx context.Context, host netip.Addr) (netip.Addr, error) {
	if err := s.check(host); err != nil {
		return netip.Addr{}, err
	}
	conn, err := s.dialer("udp").DialContext(ctx, "udp", netip.AddrPortFrom(host, spa.DefaultPort).String())
	if err != nil {
		return netip.Addr{}, &HitError{host, withoutAddress(err)}
	}
	defer conn.Close()
	own := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
	if inside(own) && !inside(host) {
		return netip.Addr{}, nil
	}
	return own, nil
}

// sharedSpace is what carriers use behind their NAT (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// inside reports whether an address means nothing beyond its own network.
func inside(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a)
}

func (s *SPA) send(ctx context.Context, proto string, to netip.AddrPort, packet []byte) error {
	if err := s.check(to.Addr()); err != nil {
		return err
	}
	return spaTransports[proto](s, ctx, to, packet)
}

// spaTransports are the ways to send a packet.
var spaTransports = map[string]func(*SPA, context.Context, netip.AddrPort, []byte) error{
	"udp":    (*SPA).spaUDP,
	"udpraw": (*SPA).spaUDP, // by hand it would be the same datagram
	"tcp": func(s *SPA, ctx context.Context, to netip.AddrPort, packet []byte) error {
		return s.spaTCP(ctx, to, packet, true)
	},
	"http": func(s *SPA, ctx context.Context, to netip.AddrPort, packet []byte) error {
		return s.spaTCP(ctx, to, httpRequest(to, s.Server, packet), false)
	},
	"tcpraw": func(s *SPA, ctx context.Context, to netip.AddrPort, packet []byte) error {
		raw := Sender{Route: s.Route, Flags: knock.SYN}
		return raw.segment(ctx, to, packet)
	},
	"icmp": (*SPA).spaICMP,
}

// from returns a dialer that sends from the source port, if one is named.
func (s *SPA) from(network string) *net.Dialer {
	d := s.dialer(network)
	if s.SourcePort == 0 {
		return d
	}
	if d.LocalAddr == nil {
		d.LocalAddr = localAddr(network, s.Source)
	}
	switch a := d.LocalAddr.(type) {
	case *net.UDPAddr:
		a.Port = int(s.SourcePort)
	case *net.TCPAddr:
		a.Port = int(s.SourcePort)
	}
	return d
}

func (s *SPA) spaUDP(ctx context.Context, to netip.AddrPort, packet []byte) error {
	return s.sendDatagram(ctx, s.from("udp"), to, packet)
}

// spaTCP connects and sends the packet as the first data. What the program at
// the other end says is of no interest, but it may say it. A web server that
// passes requests on lets go of one whose client seems to have gone, so the end
// of the data is not always shown.
func (s *SPA) spaTCP(ctx context.Context, to netip.AddrPort, data []byte, end bool) error {
	ctx, cancel := context.WithTimeout(ctx, spaPatience)
	defer cancel()
	note := Sent{At: time.Now(), What: octets("tcp connection", len(data)), To: to}
	conn, err := s.connect(ctx, to, &note)
	if err != nil {
		return withoutAddress(err)
	}
	defer conn.Close()
	if _, err := conn.Write(data); err != nil {
		return withoutAddress(err)
	}
	if end {
		conn.(*net.TCPConn).CloseWrite()
	}
	conn.SetReadDeadline(time.Now().Add(time.Second))
	n, _ := io.Copy(io.Discard, io.LimitReader(conn, 1<<16))
	if note.Reply.Kind = Accepted; n > 0 {
		note.Reply.Kind, note.Reply.Octets = Data, int(n)
	}
	s.note(note)
	return nil
}

// connect connects from the source port. That it failed, and how, is noted; else
// it is from where.
func (s *SPA) connect(ctx context.Context, to netip.AddrPort, note *Sent) (net.Conn, error) {
	d := s.from("tcp")
	add := func(*Sent) bool { return false }
	if s.Watch != nil {
		add = keepErrors(d)
	}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	isICMP := add(note)
	if err == nil {
		note.From = addrPort(conn.LocalAddr())
		return conn, nil
	}
	switch {
	case isICMP:
	case IsRefused(err):
		note.Reply.Kind = Reset
	case !isTimeout(err):
		note.Reply = Reply{Kind: Refusal, Err: withoutAddress(err)}
	}
	s.note(*note)
	return nil, err
}

// httpRequest returns a packet as fwknop puts it into a request. Servers look
// for the user agent.
func httpRequest(to netip.AddrPort, host string, packet []byte) []byte {
	if host == "" || strings.ContainsAny(host, " \r\n\t") {
		host = to.Addr().String()
	}
	path := strings.NewReplacer("+", "-", "/", "_").Replace(string(packet))
	return []byte("GET /" + path + " HTTP/1.0\r\nUser-Agent: Fwknop/2.6\r\nAccept: */*\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
}
