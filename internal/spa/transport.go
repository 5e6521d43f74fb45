package spa

import (
	"bytes"
	"net/netip"

	"knockd/internal/knock"
)

// transport is the way a packet came.
type transport uint8

const (
	datagram transport = iota // UDP, or the payload of a SYN
	stream                    // data of a TCP connection
	web                       // an HTTP request in such data
	unheard                   // a TCP segment that carries neither
)

// unwrap says which way the packet came and makes Payload what a datagram would
// have: fwknop's HTTP request holds it in its path, with - and _ for + and /.
// The address is that of X-Forwarded-For, if there is one.
func (p *Packet) unwrap() (transport, netip.Addr) {
	if p.Proto != knock.TCP {
		return datagram, netip.Addr{}
	}
	switch p.Flags & (knock.SYN | knock.ACK | knock.RST) {
	case knock.SYN:
		return datagram, netip.Addr{}
	case knock.ACK:
	default:
		return unheard, netip.Addr{}
	}
	request, ok := bytes.CutPrefix(p.Payload, []byte("GET /"))
	if !ok {
		return stream, netip.Addr{}
	}
	path, head, ok := bytes.Cut(request, []byte(" "))
	if !ok || len(path) > MaxPayload || !bytes.Contains(head, []byte("\r\nUser-Agent: Fwknop")) {
		return unheard, netip.Addr{}
	}
	p.Payload = bytes.Clone(path)
	for i, c := range p.Payload {
		switch c {
		case '-':
			p.Payload[i] = '+'
		case '_':
			p.Payload[i] = '/'
		case '+', '/':
			p.Payload[i] = '=' // there is one spelling only
		}
	}
	return web, forwardedFor(head)
}

// forwardedFor returns the last address of X-Forwarded-For: the one that the
// nearest proxy wrote, and the only one that it vouches for. Some proxies add
// it to the line that is there, others as a line of their own behind it.
func forwardedFor(head []byte) netip.Addr {
	const name = "X-Forwarded-For"
	var line []byte
	for rest, more := head, true; more; {
		var field []byte
		if field, rest, more = bytes.Cut(rest, []byte("\r\n")); !more || len(field) == 0 {
			break // cut short, or the end of the header
		}
		if n, value, ok := bytes.Cut(field, []byte(":")); ok && bytes.EqualFold(n, []byte(name)) {
			line = value
		}
	}
	if i := bytes.LastIndexByte(line, ','); i >= 0 {
		line = line[i+1:]
	}
	a, err := netip.ParseAddr(string(bytes.Trim(line, " \t")))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}
