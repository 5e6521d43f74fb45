package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/packet"
)

var (
	local4 = netip.MustParseAddr("192.0.2.2")
	local6 = netip.MustParseAddr("2001:db8::2")
)

// randomDoors returns doors over a pool of ports.
func randomDoors(r *rand.Rand, doors, pool int) []*knock.Door {
	ports := make([]uint16, pool)
	for i := range ports {
		if ports[i] = uint16(r.IntN(65535) + 1); i > 0 && r.IntN(3) == 0 {
			ports[i] = max(1, ports[i-1]+1)
		}
	}
	out := make([]*knock.Door, doors)
	for i := range out {
		d := &knock.Door{Name: fmt.Sprint(i), Timeout: time.Minute}
		for range r.IntN(4) + 1 {
			d.Sequence = append(d.Sequence, knock.Step{
				Proto: []knock.Protocol{knock.TCP, knock.UDP}[r.IntN(2)],
				Port:  ports[r.IntN(len(ports))],
			})
		}
		for range r.IntN(4) {
			d.Flags = d.Flags.Add(1<<r.IntN(6), r.IntN(2) == 0)
		}
		if r.IntN(4) == 0 {
			d.Target = netip.MustParseAddr([]string{"198.51.100.9", "2001:db8::9"}[r.IntN(2)])
		}
		out[i] = d
	}
	return out
}

// oracle tells what a Tracker with given doors sees.
type oracle struct{ tracker *knock.Tracker }

// newOracle replaces each step of each door by a door that opens when its
// only step is seen.
func newOracle(doors []*knock.Door) oracle {
	var probes []*knock.Door
	for _, d := range doors {
		for _, s := range d.Sequence {
			probes = append(probes, &knock.Door{Sequence: []knock.Step{s}, Timeout: d.Timeout, Flags: d.Flags, Target: d.Target})
		}
	}
	t := knock.NewTracker(1)
	t.SetDoors(probes)
	t.SetLocal([]netip.Addr{local4, local6})
	return oracle{t}
}

func (o oracle) visible(h knock.Hit) bool { return len(o.tracker.Observe(h, time.Unix(1, 0))) > 0 }

// randomPacket returns the octets of a packet that may well be wanted, and
// may well be no packet at all.
func randomPacket(r *rand.Rand, doors []*knock.Door, n uint32) []byte {
	door := doors[r.IntN(len(doors))]
	step := door.Sequence[r.IntN(len(door.Sequence))]
	data := randomSegment(r, step, door.Flags, n)
	var b []byte
	if r.IntN(2) == 0 {
		b = randomIPv4(r, door, step, data)
	} else {
		b = randomIPv6(r, door, step, data)
	}
	for range r.IntN(8) - 5 { // rarely a tag or two
		tag := []byte{byte(r.Uint32()), byte(r.Uint32()), 0x81, 0}
		if b[0]>>4 == 4 && r.IntN(4) > 0 {
			binary.BigEndian.PutUint16(tag[2:], packet.EtherTypeIPv4)
		} else if b[0]>>4 == 6 {
			binary.BigEndian.PutUint16(tag[2:], packet.EtherTypeIPv6)
		}
		b = append(tag, b...)
	}
	if r.IntN(10) == 0 {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	if r.IntN(10) == 0 {
		b = b[:r.IntN(len(b)+1)]
	}
	return b
}

func randomSegment(r *rand.Rand, step knock.Step, want knock.FlagMatch, seq uint32) []byte {
	payload := make([]byte, r.IntN(3)*r.IntN(100))
	port := step.Port
	if r.IntN(4) == 0 {
		port += uint16(r.IntN(5) - 2)
	}
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(r.Uint32())), port)
	if step.Proto == knock.UDP {
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
		return append(append(b, 0, 0), payload...)
	}
	set := byte(want.Set)
	if r.IntN(3) == 0 {
		set = byte(r.Uint32())
	}
	options := 4 * r.IntN(11)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, byte(20+options)/4<<4, set, 0, 0, 0, 0, 0, 0)
	return append(append(b, make([]byte, options)...), payload...)
}

func address(r *rand.Rand, door *knock.Door, local netip.Addr) netip.Addr {
	if door.Target.IsValid() && door.Target.Is4() == local.Is4() && r.IntN(2) == 0 {
		return door.Target
	}
	return local
}

func randomIPv4(r *rand.Rand, door *knock.Door, step knock.Step, data []byte) []byte {
	options := 4 * r.IntN(11)
	b := []byte{byte(0x40 + (20+options)/4), 0}
	b = binary.BigEndian.AppendUint16(b, uint16(20+options+len(data)))
	b = append(b, byte(r.Uint32()), byte(r.Uint32()), []byte{0, 0x40, 0x20, 0x20}[r.IntN(4)], byte(r.IntN(8)/7), 64, byte(step.Proto), 0, 0)
	b = append(b, 203, 0, 113, byte(1+r.IntN(200)))
	b = append(b, address(r, door, local4).AsSlice()...)
	return append(append(b, make([]byte, options)...), data...)
}

func randomIPv6(r *rand.Rand, door *knock.Door, step knock.Step, data []byte) []byte {
	next := byte(step.Proto)
	for range max(0, r.IntN(8)-3) {
		kind := packet.Extensions()[r.IntN(5)]
		h := append([]byte{next, byte(r.IntN(3))}, make([]byte, 6)...)
		switch kind {
		case 44:
			h[3] = byte(r.IntN(2))
		case 51:
			h = append(h, make([]byte, 4*int(h[1]))...)
		default:
			h = append(h, make([]byte, 8*int(h[1]))...)
		}
		data, next = append(h, data...), kind
	}
	b := []byte{0x60, byte(r.Uint32()) & 0xf, byte(r.Uint32()), byte(r.Uint32())}
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, next, 64)
	b = append(b, netip.MustParseAddr("2001:db8:1::1").AsSlice()...)
	b = append(b, address(r, door, local6).AsSlice()...)
	return append(b, data...)
}

// kernel runs filters in the kernel, without privileges: a pair of Unix
// sockets shows a filter what one of them sends.
type kernel struct{ in, out int }

func newKernel(t testing.TB) kernel {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return kernel{fds[0], fds[1]}
}

// run returns how many octets of a packet the filter attached lets pass.
func (k kernel) run(t testing.TB, b []byte) int {
	t.Helper()
	if len(b) == 0 {
		return 0
	}
	// A packet that the filter refuses is an error to the sender.
	if _, err := unix.Write(k.in, b); err == unix.EPERM {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	n, err := unix.Read(k.out, buf)
	if err == unix.EAGAIN {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFilterPassesVisible compares filters for random doors, of full size and
// coarser, with what the tracker sees of random packets, in the interpreter of
// x/net/bpf and in the kernel.
func TestFilterPassesVisible(t *testing.T) {
	r := nettest.Rand(t)
	kernel := newKernel(t)
	var visible, passed, packets int
	for range 150 {
		pool := 1 + r.IntN(20)
		if r.IntN(4) == 0 {
			pool = 1 + r.IntN(2000)
		}
		doors := randomDoors(r, 1+r.IntN(1+pool), pool)
		w := &FilterSpec{OnlyIPv4: r.IntN(4) == 0, Outgoing: true} // the interpreter does not know packet types
		for _, d := range doors {
			w.AddDoor(d)
		}
		limit := []int{maxInstructions, maxInstructions, 200, minInstructions}[r.IntN(4)]
		prog, err := compile(w, limit)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(prog)
		if err != nil {
			t.Fatalf("%v\n%v", err, prog)
		}
		if err := attach(kernel.out, prog); err != nil {
			t.Fatal(err)
		}
		oracle := newOracle(doors)
		for n := range uint32(100) {
			b := randomPacket(r, doors, n)
			got, err := vm.Run(b)
			if err != nil {
				t.Fatal(err)
			}
			if k := kernel.run(t, b); k != min(got, len(b)) {
				t.Fatalf("the kernel lets pass %d octets, the interpreter %d, of %x", k, got, b)
			}
			p, ok := new(packet.Decoder).Decode(b, len(b))
			see := ok && oracle.visible(p.Hit) && !(w.OnlyIPv4 && p.Src.Is6())
			packets++
			if got > 0 {
				passed++
			}
			if !see {
				continue
			}
			visible++
			if got == 0 {
				t.Fatalf("visible, but filtered out with %d instructions: %+v\n%x", len(prog), p.Hit, b)
			}
			var d packet.Decoder
			if q, ok := d.Decode(b[:min(got, len(b))], len(b)); !ok || q.Hit != p.Hit {
				t.Fatalf("%d octets are too few to see %+v", got, p.Hit)
			}
		}
	}
	t.Logf("%d packets: %d visible, %d passed", packets, visible, passed)
	if visible < packets/5 || passed == packets {
		t.Error("the random packets are not fit to test a filter")
	}
}

// TestFilterRefuses checks that what is nobody's knock does not wake anybody.
func TestFilterRefuses(t *testing.T) {
	doors := []*knock.Door{
		{Sequence: []knock.Step{{Proto: knock.TCP, Port: 7000}, {Proto: knock.UDP, Port: 8000}}, Flags: knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}},
	}
	w := &FilterSpec{Outgoing: true}
	w.AddDoor(doors[0])
	prog, err := compile(w, maxInstructions)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	ip4 := func(proto byte, data string) string {
		return "\x45\x00\x00" + string(byte(20+len(data))) + "\x00\x00\x00\x00\x40" + string(proto) + "\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02" + data
	}
	tcp := func(port string, flags string) string {
		return "\x9c\x40" + port + "\x00\x00\x00\x00\x00\x00\x00\x00\x50" + flags + "\x00\x00\x00\x00\x00\x00"
	}
	ip6 := udp6(8000)
	for _, tt := range []struct {
		name, octets string
		want         bool
	}{
		{"knock", ip4(6, tcp("\x1b\x58", "\x02")), true},
		{"with another flag", ip4(6, tcp("\x1b\x58", "\x42")), true},
		{"with a flag too many", ip4(6, tcp("\x1b\x58", "\x12")), false},
		{"with a flag too few", ip4(6, tcp("\x1b\x58", "\x00")), false},
		{"port before", ip4(6, tcp("\x1b\x57", "\x02")), false},
		{"port after", ip4(6, tcp("\x1b\x59", "\x02")), false},
		{"the other protocol's port", ip4(6, tcp("\x1f\x40", "\x02")), false},
		{"UDP", udp4(8000), true},
		{"UDP to another port", udp4(7000), false},
		{"IPv6", udp6(8000), true},
		{"IPv6 to another port", udp6(8001), false},
		{"ICMP", ip4(1, tcp("\x1b\x58", "\x02")), false},
		{"ICMPv6", ip6[:6] + "\x3a" + ip6[7:], false},
		{"MLD", ip6[:6] + "\x00" + ip6[7:40] + "\x3a\x00\x05\x02\x00\x00\x00\x00", false},
		{"IPv6 with an extension header", ip6[:6] + "\x3c" + ip6[7:40] + "\x11\x00\x00\x00\x00\x00\x00\x00" + ip6[40:], true},
		{"ARP", "\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x00\x00\x00\x00\x00\xc0\x00\x02\x02", false},
		{"LLDP", "\x02\x07\x04\x02\x00\x00\x00\x00\x01\x04\x07\x05", false},
		{"nothing", "", false},
	} {
		n, err := vm.Run([]byte(tt.octets))
		if err != nil || n > 0 != tt.want {
			t.Errorf("%s: %d octets pass, %v", tt.name, n, err)
		}
	}
}

// TestFilterPayload checks what is asked of a datagram's payload, as single
// packets of an authorization are told from others.
func TestFilterPayload(t *testing.T) {
	w := &FilterSpec{Outgoing: true, Matches: []Match{
		{Proto: knock.UDP, First: 62201, Last: 62201, Payload: 1500, MinPayload: 140, MaxPayload: 1500, Begins: "89+/"},
		{Proto: knock.UDP, First: 62202, Last: 62203, Payload: 1500, MinPayload: 140, MaxPayload: 1500, Begins: "89+/"},
		{Proto: knock.UDP, First: 62203, Last: 62203}, // a step of a sequence too
		{Proto: knock.UDP, First: 62204, Last: 62204, MaxPayload: 10},
		{Proto: knock.UDP, First: 62204, Last: 62204, MinPayload: 5, MaxPayload: 20, Begins: "x"},
	}}
	datagram := func(port uint16, payload string) []byte {
		b := []byte(udp4(port) + payload)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
		return b
	}
	long := strings.Repeat("A", 1600)
	prog, err := compile(w, maxInstructions)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		port    uint16
		payload string
		want    bool
	}{
		{62201, "8" + long[:139], true}, {62201, "9" + long[:1499], true}, {62201, "+" + long[:200], true}, {62202, "/" + long[:200], true},
		{62201, "8" + long[:138], false}, {62201, "8" + long[:1500], false}, {62201, "7" + long[:200], false}, {62201, "", false},
		{62203, "", true}, {62203, "7" + long[:200], true},
		{62204, "", true}, {62204, long[:20], true}, {62204, "x" + long[:20], false},
	} {
		b := datagram(tt.port, tt.payload)
		if n, err := vm.Run(b); err != nil || n > 0 != tt.want {
			t.Errorf("port %d, payload of %d octets %.1q: %d octets pass, %v", tt.port, len(tt.payload), tt.payload, n, err)
		} else if n > 0 && n < len(b) && tt.port < 62204 {
			t.Errorf("port %d, payload of %d octets: %d octets are kept", tt.port, len(tt.payload), n)
		}
	}
}

// TestFilterFrom: of one source all packets pass, and no others.
func TestFilterFrom(t *testing.T) {
	other4, other6 := []byte(udp4(1)), []byte(udp6(1))
	other4[15], other6[23] = 9, 9
	icmp := []byte(udp4(1))
	icmp[9] = 1
	for _, tt := range []struct {
		from string
		want string
	}{{"192.0.2.1", "udp4 icmp tagged"}, {"2001:db8::1", "udp6 tagged"}, {"192.0.2.7", "tagged"}, {"2001:db8::7", "tagged"}} {
		prog, err := compile(&FilterSpec{From: netip.MustParseAddr(tt.from), Outgoing: true}, maxInstructions)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(prog)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range []struct {
			name   string
			octets []byte
		}{
			{"udp4", []byte(udp4(1))}, {"udp6", []byte(udp6(1))}, {"icmp", icmp}, {"other4", other4}, {"other6", other6},
			{"tagged", []byte("\x00\x01\x81\x00\x00\x02\x08\x00" + udp4(1))},
		} {
			if n, err := vm.Run(p.octets); err != nil {
				t.Fatal(err)
			} else if n > 0 {
				got = append(got, p.name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("from %s: %q pass, want %s", tt.from, got, tt.want)
		}
	}
}
