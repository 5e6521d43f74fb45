package capture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"knockd/internal/knock"
	"knockd/internal/packet"
)

// FuzzFilter shows packets to two trackers, one of which gets only what the
// filter lets pass, as far as it lets it pass: they decide alike, whatever the
// octets are. What may hold a message for a door with keys passes too, with the
// octets of its payload that are asked for. Doors, some of them strict, follow
// from seed; each packet is a length and its octets.
func FuzzFilter(f *testing.F) {
	for seed := range uint64(40) {
		doors, w := randomSpec(seed)
		r := rand.New(rand.NewPCG(seed, 1))
		var packets []byte
		for n := range uint32(3) { // few: the engine takes long to make long inputs shorter
			b := packetOfFew(r, doors, n)
			if n == 0 && seed%2 == 0 {
				b = randomPacket(r, doors, n)
			}
			b = b[:min(len(b), 80)]
			packets = append(append(packets, byte(len(b))), b...)
		}
		f.Add(seed, packets)
		for _, m := range w.Matches {
			if m.Payload > 0 && m.Proto == knock.UDP {
				for _, size := range []int{m.MinPayload, m.MaxPayload} {
					b := []byte(udp4(m.Last) + m.Begins + strings.Repeat("A", size-len(m.Begins)))
					b[3], b[25] = byte(len(b)), byte(len(b)-20)
					f.Add(seed, append([]byte{byte(len(b))}, b...))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, seed uint64, packets []byte) {
		doors, w := randomSpec(seed)
		prog, err := compile(w, []int{maxInstructions, 200, minInstructions}[seed%3])
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(prog)
		if err != nil {
			t.Fatal(err)
		}
		all, passed := trackerOf(doors), trackerOf(doors)
		var decoder packet.Decoder
		for now := time.Unix(1, 0); len(packets) > 0; now = now.Add(time.Second / 3) {
			n := min(int(packets[0]), len(packets)-1)
			b := packets[1 : 1+n]
			packets = packets[1+n:]
			length, err := vm.Run(b)
			if err != nil {
				t.Fatal(err)
			}
			length = min(length, len(b))
			want, got := all.Expire(now), passed.Expire(now)
			p, ok := new(packet.Decoder).Decode(b, len(b))
			if ok && !(w.OnlyIPv4 && p.Src.Is6()) {
				want = append(slices.Clone(want), all.Observe(p.Hit, now)...)
				keysSee(t, w, p, &decoder, b[:length], len(b))
			}
			if p, ok := decoder.Decode(b[:length], len(b)); ok && !(w.OnlyIPv4 && p.Src.Is6()) {
				got = append(slices.Clone(got), passed.Observe(p.Hit, now)...)
			}
			if fmt.Sprint(want) != fmt.Sprint(got) {
				t.Fatalf("%x, of which %d octets pass: decided %v, without filter %v", b, length, got, want)
			}
		}
	})
}

// randomSpec makes doors of a number, and what a filter is told to let pass.
func randomSpec(seed uint64) ([]*knock.Door, *FilterSpec) {
	r := rand.New(rand.NewPCG(seed, 0))
	doors := strictDoors(r)
	w := &FilterSpec{OnlyIPv4: r.IntN(4) == 0, Outgoing: true} // the interpreter does not know packet types
	for _, d := range doors {
		w.AddDoor(d)
	}
	for range r.IntN(3) { // as the doors with keys have them
		first := doors[0].Sequence[0].Port + uint16(r.IntN(3))
		m := Match{Proto: knock.UDP, First: first, Last: max(first, first+uint16(r.IntN(3))), Payload: 40, MinPayload: 10, MaxPayload: 40, Begins: "+/01"}
		if r.IntN(3) == 0 {
			m = Match{Proto: knock.TCP, First: m.First, Last: m.Last, Payload: 40}
		}
		if m.Proto == knock.TCP && r.IntN(2) == 0 {
			m.Flags.Set = knock.SYN
		}
		w.Matches = append(w.Matches, m)
	}
	return doors, w
}

// keysSee fails the test if a packet that a match asks for does not pass, or
// with too little of its payload.
func keysSee(t *testing.T, w *FilterSpec, p packet.Packet, d *packet.Decoder, passed []byte, wire int) {
	t.Helper()
	for _, m := range w.Matches {
		if m.Payload == 0 || p.Proto != m.Proto || p.DstPort < m.First || p.DstPort > m.Last || !meets(p, m) {
			continue
		}
		q, ok := d.Decode(passed, wire)
		if !ok || q.Hit != p.Hit || string(q.Payload[:min(len(q.Payload), m.Payload)]) != string(p.Payload[:min(len(p.Payload), m.Payload)]) {
			t.Fatalf("%+v asks for %+v with payload %x; passed: %v, %+v", m, p.Hit, p.Payload, ok, q)
		}
	}
}

// meets reports whether a packet's flags or payload are those that a match asks for.
func meets(p packet.Packet, m Match) bool {
	if p.Proto == knock.TCP {
		return p.Flags&m.Flags.Set == m.Flags.Set && p.Flags&m.Flags.Clear == 0
	}
	n := int(p.PayloadLen)
	return n >= m.MinPayload && (m.MaxPayload == 0 || n <= m.MaxPayload) && (m.Begins == "" || len(p.Payload) > 0 && strings.IndexByte(m.Begins, p.Payload[0]) >= 0)
}
