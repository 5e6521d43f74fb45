package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"knockd/internal/knock"
)

// The parts of packets that the tests put together.

func tcp(flags byte, offset int, options, payload string) string {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h[0:], 40000)
	binary.BigEndian.PutUint16(h[2:], 7000)
	binary.BigEndian.PutUint32(h[4:], 0xdeadbeef)
	h[12], h[13] = byte(offset<<4), flags
	return string(h) + options + payload
}

func udp(length int, payload string) string {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h[0:], 40000)
	binary.BigEndian.PutUint16(h[2:], 7001)
	binary.BigEndian.PutUint16(h[4:], uint16(length))
	return string(h) + payload
}

func ip4(proto byte, fragment uint16, options, data string) string {
	h := make([]byte, 20)
	h[0] = byte(4<<4 | (20+len(options))/4)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(options)+len(data)))
	binary.BigEndian.PutUint16(h[6:], fragment)
	h[8], h[9] = 64, proto
	copy(h[12:], []byte{192, 0, 2, 1})
	copy(h[16:], []byte{192, 0, 2, 2})
	return string(h) + options + data
}

func ip6(next byte, data string) string {
	h := make([]byte, 40)
	h[0], h[6], h[7] = 6<<4, next, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(data)))
	copy(h[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	copy(h[24:], netip.MustParseAddr("2001:db8::2").AsSlice())
	return string(h) + data
}

// ext is an IPv6 extension header of 8 octets and more times 8.
func ext(next byte, more int) string {
	return string([]byte{next, byte(more)}) + strings.Repeat("\xff", 6+8*more)
}

func fragment(next byte, offset uint16, more bool) string {
	field := offset << 3
	if more {
		field |= 1
	}
	// The second octet is reserved, not a length.
	return string(binary.BigEndian.AppendUint16([]byte{next, 0xff}, field)) + "\x00\x00\x00\x07"
}

func patch(s string, at int, octets string) string { return s[:at] + octets + s[at+len(octets):] }

const (
	hop, routing, frag, auth, dest = 0, 43, 44, 51, 60
	syn                            = 0x02
)

func TestDecode(t *testing.T) {
	src4, dst4 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	src6, dst6 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	tcp4 := knock.Hit{Src: src4, Dst: dst4, SrcPort: 40000, DstPort: 7000, Proto: knock.TCP, Flags: knock.SYN, Seq: 0xdeadbeef}
	udp4 := knock.Hit{Src: src4, Dst: dst4, SrcPort: 40000, DstPort: 7001, Proto: knock.UDP}
	tcp6, udp6 := tcp4, udp4
	tcp6.Src, tcp6.Dst, udp6.Src, udp6.Dst = src6, dst6, src6, dst6
	with := func(h knock.Hit, payload int) knock.Hit { h.PayloadLen = payload; return h }
	none := knock.Hit{}

	for _, tt := range []struct {
		name    string
		octets  string
		cut     int // octets that were not captured
		want    knock.Hit
		payload string
	}{
		{name: "empty"},
		{name: "not IP", octets: "\x00\x01\x08\x00\x06\x04\x00\x01" + strings.Repeat("\x00", 20)},
		{name: "IPv4 TCP", octets: ip4(6, 0, "", tcp(syn, 5, "", "")), want: tcp4},
		{name: "all flags", octets: ip4(6, 0, "", tcp(0xff, 5, "", "")),
			want: func() knock.Hit { h := tcp4; h.Flags = 0x3f; return h }()},
		{name: "payload", octets: ip4(6, 0, "", tcp(syn, 5, "", "hello")), want: with(tcp4, 5), payload: "hello"},
		{name: "trailing Ethernet padding", octets: ip4(6, 0, "", tcp(syn, 5, "", "")) + "\x00\x00\x00\x00\x00\x00", want: tcp4},
		{name: "TCP options", octets: ip4(6, 0, "", tcp(syn, 7, "\x02\x04\x05\xb4\x01\x01\x01\x00", "hi")), want: with(tcp4, 2), payload: "hi"},
		{name: "TCP options that mean nothing", octets: ip4(6, 0, "", tcp(syn, 6, "\x02\xff\x02\x00", "")), want: tcp4},
		{name: "ten TCP options", octets: ip4(6, 0, "", tcp(syn, 15, strings.Repeat("\x01", 40), "")), want: tcp4},
		{name: "TCP data offset 0", octets: ip4(6, 0, "", tcp(syn, 0, "", ""))},
		{name: "TCP data offset 4", octets: ip4(6, 0, "", tcp(syn, 4, "", ""))},
		{name: "TCP data offset beyond the packet", octets: ip4(6, 0, "", tcp(syn, 6, "", ""))},
		{name: "TCP header cut short", octets: ip4(6, 0, "", tcp(syn, 5, "", "")[:19])},
		{name: "IPv4 UDP", octets: ip4(17, 0, "", udp(12, "data")), want: with(udp4, 4), payload: "data"},
		{name: "UDP shorter than its packet", octets: ip4(17, 0, "", udp(10, "data")), want: with(udp4, 2), payload: "da"},
		{name: "UDP longer than its packet", octets: ip4(17, 0, "", udp(13, "data"))},
		{name: "UDP length 0", octets: ip4(17, 0, "", udp(0, "data"))},
		{name: "UDP length 4", octets: ip4(17, 0, "", udp(4, "data"))},
		{name: "UDP header cut short", octets: ip4(17, 0, "", udp(8, "")[:7])},
		{name: "ICMP", octets: ip4(1, 0, "", tcp(syn, 5, "", ""))},
		{name: "IPv4 options", octets: ip4(6, 0, "\x94\x04\x00\x00", tcp(syn, 5, "", "")), want: tcp4},
		{name: "IPv4 options that mean nothing", octets: ip4(6, 0, "\x07\x00\xff\xff", tcp(syn, 5, "", "")), want: tcp4},
		{name: "all IPv4 options", octets: ip4(17, 0, strings.Repeat("\x01", 40), udp(8, "")), want: udp4},
		{name: "IPv4 options cut short", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 0, "\x4f")},
		{name: "IPv4 header length 16", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 0, "\x44")},
		{name: "IPv4 total length 0", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 2, "\x00\x00")},
		{name: "IPv4 total length 39", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 2, "\x00\x27")},
		{name: "IPv4 total length 41 of 40", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 2, "\x00\x29")},
		{name: "version 5", octets: patch(ip4(6, 0, "", tcp(syn, 5, "", "")), 0, "\x55")},
		{name: "IPv4 don't fragment", octets: ip4(6, 0x4000, "", tcp(syn, 5, "", "")), want: tcp4},
		{name: "IPv4 first fragment", octets: ip4(6, 0x2000, "", tcp(syn, 5, "", "1234")), want: with(tcp4, 4), payload: "1234"},
		{name: "IPv4 first fragment of UDP", octets: ip4(17, 0x2000, "", udp(1008, "1234")), want: with(udp4, 1000), payload: "1234"},
		{name: "IPv4 first fragment without a whole header", octets: ip4(6, 0x2000, "", tcp(syn, 5, "", "")[:16])},
		{name: "IPv4 first fragment without all options", octets: ip4(6, 0x2000, "", tcp(syn, 7, "\x01\x01\x01\x01", ""))},
		{name: "IPv4 second fragment", octets: ip4(6, 0x2001, "", tcp(syn, 5, "", ""))},
		{name: "IPv4 last fragment", octets: ip4(6, 0x0001, "", tcp(syn, 5, "", ""))},
		{name: "captured without payload", octets: ip4(6, 0, "", tcp(syn, 5, "", "hello")), cut: 5, want: with(tcp4, 5)},
		{name: "captured without all options", octets: ip4(6, 0, "", tcp(syn, 6, "\x01\x01\x01\x01", "x")), cut: 3, want: with(tcp4, 1)},
		{name: "captured without a whole header", octets: ip4(6, 0, "", tcp(syn, 5, "", "")), cut: 1},
		{name: "captured in part", octets: ip4(17, 0, "", udp(12, "data")), cut: 3, want: with(udp4, 4), payload: "d"},
		{name: "from nobody", octets: patch(ip4(17, 0, "", udp(8, "")), 12, "\x00\x00\x00\x00")},
		{name: "from everybody", octets: patch(ip4(17, 0, "", udp(8, "")), 12, "\xff\xff\xff\xff")},
		{name: "from a group", octets: patch(ip4(17, 0, "", udp(8, "")), 12, "\xe0\x00\x00\x01")},

		{name: "IPv6 TCP", octets: ip6(6, tcp(syn, 5, "", "abc")), want: with(tcp6, 3), payload: "abc"},
		{name: "IPv6 UDP", octets: ip6(17, udp(8, "")), want: udp6},
		{name: "IPv6 header cut short", octets: ip6(17, "")[:39]},
		{name: "IPv6 payload length 0", octets: patch(ip6(17, udp(8, "")), 4, "\x00\x00")},
		{name: "IPv6 payload length too large", octets: patch(ip6(17, udp(8, "")), 4, "\x00\x09")},
		{name: "ICMPv6", octets: ip6(58, tcp(syn, 5, "", ""))},
		{name: "no next header", octets: ip6(59, tcp(syn, 5, "", ""))},
		{name: "ESP", octets: ip6(50, tcp(syn, 5, "", ""))},
		{name: "hop by hop", octets: ip6(hop, ext(6, 0)+tcp(syn, 5, "", "")), want: tcp6},
		{name: "four extension headers", want: with(udp6, 1), payload: "!",
			octets: ip6(hop, ext(dest, 1)+ext(routing, 2)+ext(dest, 0)+ext(17, 31)+udp(9, "!"))},
		{name: "five extension headers",
			octets: ip6(hop, ext(dest, 0)+ext(routing, 0)+ext(dest, 0)+ext(dest, 0)+ext(17, 0)+udp(9, "!"))},
		{name: "extension header longer than the packet", octets: ip6(dest, ext(17, 0)[:1]+"\x40"+ext(17, 0)[2:]+udp(8, ""))},
		{name: "extension header cut short", octets: ip6(dest, "\x11\x00")},
		{name: "extension headers and nothing", octets: ip6(dest, ext(6, 0))},
		{name: "IPv6 first fragment", octets: ip6(frag, fragment(6, 0, true)+tcp(syn, 5, "", "")), want: tcp6},
		{name: "IPv6 only fragment", octets: ip6(frag, fragment(17, 0, false)+udp(8, "")), want: udp6},
		{name: "IPv6 only fragment of UDP too long", octets: ip6(frag, fragment(17, 0, false)+udp(9, ""))},
		{name: "IPv6 first fragment of UDP", octets: ip6(frag, fragment(17, 0, true)+udp(9, "")), want: with(udp6, 1)},
		{name: "IPv6 second fragment", octets: ip6(frag, fragment(17, 1, false)+udp(8, ""))},
		{name: "IPv6 authentication header", octets: ip6(auth, "\x06\x04"+strings.Repeat("\xff", 22)+tcp(syn, 5, "", "")), want: tcp6},
		{name: "IPv6 captured in part", octets: ip6(dest, ext(6, 0)+tcp(syn, 5, "", "1234")), cut: 2, want: with(tcp6, 4), payload: "12"},
		{name: "IPv6 captured without the extension's end", octets: ip6(dest, ext(6, 1)+tcp(syn, 5, "", "")), cut: 30},
		{name: "IPv6 from nobody", octets: patch(ip6(17, udp(8, "")), 8, strings.Repeat("\x00", 16))},
		{name: "IPv6 from a mapped address",
			octets: patch(ip6(17, udp(8, "")), 8, strings.Repeat("\x00", 10)+"\xff\xff\xc0\x00\x02\x01")},
		{name: "IPv6 to a mapped address",
			octets: patch(ip6(17, udp(8, "")), 24, strings.Repeat("\x00", 10)+"\xff\xff\xc0\x00\x02\x02")},

		{name: "tag", octets: "\x00\x0a\x08\x00" + ip4(6, 0, "", tcp(syn, 5, "", "")), want: tcp4},
		{name: "tag that looks like IPv4", octets: "\x45\x00\x08\x00" + ip4(6, 0, "", tcp(syn, 5, "", "")), want: tcp4},
		{name: "tag that looks like IPv6", octets: "\x60\x00\x86\xdd" + ip6(6, tcp(syn, 5, "", "")), want: tcp6},
		{name: "two tags", octets: "\x00\x0a\x81\x00\x00\x0b\x86\xdd" + ip6(17, udp(8, "")), want: udp6},
		{name: "three tags", octets: "\x00\x0a\x81\x00\x00\x0b\x81\x00\x00\x0c\x86\xdd" + ip6(17, udp(8, ""))},
		{name: "tag of something else", octets: "\x00\x0a\x08\x06" + ip4(6, 0, "", tcp(syn, 5, "", ""))},
		{name: "tag and nothing", octets: "\x00\x0a\x08\x00"},
		{name: "tag, captured in part", octets: "\x00\x0a\x08\x00" + ip4(17, 0, "", udp(12, "data")), cut: 2, want: with(udp4, 4), payload: "da"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			got, ok := d.Decode([]byte(tt.octets[:len(tt.octets)-tt.cut]), len(tt.octets))
			if ok != (tt.want != none) || got.Hit != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", got.Hit, ok, tt.want)
			}
			if ok && !packetOf(tt.octets, got.Octets) {
				t.Errorf("octets %x", got.Octets)
			}
			if string(got.Payload) != tt.payload {
				t.Errorf("payload %q, want %q", got.Payload, tt.payload)
			}
		})
	}
}

// packetOf reports whether octets are those of an IP packet within data, or the
// first of them.
func packetOf(data string, octets []byte) bool {
	length := int(binary.BigEndian.Uint16(octets[2:]))
	if octets[0]>>4 == 6 {
		length = 40 + int(binary.BigEndian.Uint16(octets[4:]))
	}
	return strings.Contains(data, string(octets)) && len(octets) <= length && len(octets) >= length-5
}

// TestDecodeCut takes a packet that declares its length and shows every
// beginning of it: none is a packet when it is all there was on the wire.
func TestDecodeCut(t *testing.T) {
	for _, whole := range []string{
		ip4(6, 0, "\x01\x01\x01\x01", tcp(syn, 6, "\x01\x01\x01\x01", "payload")),
		ip6(hop, ext(frag, 1)+fragment(17, 0, true)+udp(15, "payload")),
	} {
		for n := range len(whole) {
			if p, ok := new(Decoder).Decode([]byte(whole[:n]), n); ok {
				t.Errorf("%d of %d octets: got %+v", n, len(whole), p)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		ip4(6, 0, "\x01\x01\x01\x01", tcp(syn, 6, "\x01\x01\x01\x01", "payload")),
		ip4(17, 0x2000, "", udp(1000, "payload")),
		ip6(hop, ext(frag, 1)+fragment(17, 0, true)+udp(15, "payload")),
		ip6(auth, "\x06\x04"+strings.Repeat("\xff", 22)+tcp(syn, 5, "", "")),
		"\x45\x00\x08\x00" + ip4(6, 0, "", tcp(syn, 5, "", "")),
		"\x00\x0a\x81\x00\x00\x0b\x86\xdd" + ip6(17, udp(8, "")),
	} {
		f.Add([]byte(s), uint16(0))
		f.Add([]byte(s), uint16(9))
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, octets []byte, cut uint16) {
		wire := len(octets) + int(cut)
		before := bytes.Clone(octets)
		p, ok := d.Decode(octets, wire)
		if !bytes.Equal(before, octets) {
			t.Fatal("the input was changed")
		}
		if !ok {
			if p.Hit != (knock.Hit{}) || p.Payload != nil {
				t.Fatalf("no packet, but %+v", p)
			}
			return
		}
		checkInvariants(t, octets, wire, p)
	})
}

// checkInvariants checks that nothing in a packet was invented.
func checkInvariants(t *testing.T, octets []byte, wire int, p Packet) {
	if p.Proto != knock.TCP && p.Proto != knock.UDP {
		t.Errorf("protocol %d", p.Proto)
	}
	if p.Proto == knock.UDP && (p.Flags != 0 || p.Seq != 0) {
		t.Errorf("UDP with flags %v, sequence number %d", p.Flags, p.Seq)
	}
	if !p.Src.IsValid() || p.Src.Is4() != p.Dst.Is4() || p.Src.IsUnspecified() || p.Src.Is4In6() || p.Dst.Is4In6() {
		t.Errorf("from %v to %v", p.Src, p.Dst)
	}
	if p.PayloadLen < len(p.Payload) || len(p.Payload) > len(octets) || p.PayloadLen > 65535 {
		t.Errorf("payload of %d octets, %d of them there", p.PayloadLen, len(p.Payload))
	}
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.SrcPort), p.DstPort)
	addrs := append(p.Src.AsSlice(), p.Dst.AsSlice()...)
	at := bytes.Index(octets, addrs)
	if at < 0 || !bytes.Contains(octets[at+len(addrs):], ports) {
		t.Errorf("ports or addresses of %+v are not in the packet", p.Hit)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, octets string }{
		{"IPv4TCP", ip4(6, 0, "", tcp(syn, 10, strings.Repeat("\x01", 20), ""))},
		{"IPv4UDP", ip4(17, 0, "", udp(12, "data"))},
		{"IPv6TCP", ip6(6, tcp(syn, 5, "", ""))},
		{"IPv6Extensions", ip6(hop, ext(dest, 0)+ext(17, 0)+udp(8, ""))},
		{"ICMP", ip4(1, 0, "", tcp(syn, 5, "", ""))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var d Decoder
			octets := []byte(bb.octets)
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(octets, len(octets))
			}
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var d Decoder
	for _, s := range []string{
		ip4(6, 0, "", tcp(syn, 10, strings.Repeat("\x01", 20), "")),
		ip6(hop, ext(dest, 0)+ext(17, 0)+udp(8, "")),
		ip4(1, 0, "", tcp(syn, 5, "", "")),
		ip4(6, 0, "", tcp(syn, 2, "", "")),
		ip4(17, 0, "", udp(4, "")),
	} {
		octets := []byte(s)
		if n := testing.AllocsPerRun(100, func() { d.Decode(octets, len(octets)) }); n != 0 {
			t.Errorf("%v allocations for %x", n, s)
		}
	}
}

// TestAny: whoever asks for them gets packets of other protocols, too.
func TestAny(t *testing.T) {
	for _, p := range []string{ip4(1, 0, "", "12345678"), ip6(58, "12345678")} {
		if _, ok := new(Decoder).Decode([]byte(p), len(p)); ok {
			t.Error("taken by who did not ask")
		}
		d := &Decoder{Any: true}
		got, ok := d.Decode([]byte(p), len(p))
		if !ok || got.Proto != knock.Protocol(1) && got.Proto != 58 || got.PayloadLen != 8 || got.DstPort != 0 {
			t.Errorf("%+v, %v", got.Hit, ok)
		}
	}
}
