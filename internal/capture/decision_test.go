package capture

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/packet"
)

// TestFilterChangesNoDecision shows random packets of a few sources to two
// trackers, one of which gets only what the filter lets pass: both decide
// alike, be it that attempts go on or that stray packets fail them.
func TestFilterChangesNoDecision(t *testing.T) {
	r := rand.New(rand.NewPCG(nettest.Seed(t), 2))
	kernel := newKernel(t)
	var refused, packets, events int
	for range 150 {
		doors := strictDoors(r)
		w := &FilterSpec{Outgoing: true} // the interpreter does not know packet types
		for _, d := range doors {
			w.AddDoor(d)
		}
		prog, err := compile(w, []int{maxInstructions, 200, minInstructions}[r.IntN(3)])
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(prog)
		if err != nil {
			t.Fatal(err)
		}
		if err := attach(kernel.out, prog); err != nil {
			t.Fatal(err)
		}
		all, passed := trackerOf(doors), trackerOf(doors)
		now := time.Unix(1, 0)
		for n := range uint32(300) {
			b := packetOfFew(r, doors, n)
			now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
			p, ok := new(packet.Decoder).Decode(b, len(b))
			if !ok {
				t.Fatalf("%x is no packet", b)
			}
			want := fmt.Sprint(all.Expire(now)) + fmt.Sprint(all.Observe(p.Hit, now))
			got := fmt.Sprint(passed.Expire(now))
			length, err := vm.Run(b)
			if err != nil || kernel.run(t, b) != min(length, len(b)) {
				t.Fatalf("kernel and interpreter differ on %x (%v)", b, err)
			}
			if length > 0 {
				got += fmt.Sprint(passed.Observe(p.Hit, now))
			} else {
				got += "[]"
				refused++
			}
			if packets++; got != want {
				t.Fatalf("packet %d, %+v, of which %d octets pass: decided %s, without filter %s", n, p.Hit, length, got, want)
			}
			if want != "[][]" {
				events++
			}
		}
	}
	t.Logf("%d packets, %d refused, %d decided something", packets, refused, events)
	if refused == 0 || events < packets/100 {
		t.Error("too few to tell anything")
	}
}

// strictDoors returns doors over few ports, some of them strict.
func strictDoors(r *rand.Rand) []*knock.Door {
	doors := randomDoors(r, 1+r.IntN(4), 2+r.IntN(5))
	for _, d := range doors {
		if r.IntN(2) == 0 {
			d.Strict = true
			d.Flags = knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}
			for range r.IntN(3) {
				first := uint16(r.IntN(60000))
				d.StrictIgnore = append(d.StrictIgnore, knock.PortRange{Proto: []knock.Protocol{knock.TCP, knock.UDP}[r.IntN(2)],
					First: first, Last: first + uint16(r.IntN(5000))})
			}
		}
	}
	return doors
}

func trackerOf(doors []*knock.Door) *knock.Tracker {
	t := knock.NewTracker(100)
	t.SetDoors(doors)
	t.SetLocal([]netip.Addr{local4, local6})
	return t
}

// packetOfFew returns a packet of one of three sources, most of them a step of
// some door.
func packetOfFew(r *rand.Rand, doors []*knock.Door, n uint32) []byte {
	door := doors[r.IntN(len(doors))]
	step := door.Sequence[r.IntN(len(door.Sequence))]
	if r.IntN(8) == 0 {
		step = knock.Step{Proto: []knock.Protocol{knock.TCP, knock.UDP}[r.IntN(2)], Port: uint16(1 + r.IntN(65535))}
	}
	flags := byte(door.Flags.Set)
	if r.IntN(8) == 0 {
		flags = byte(r.IntN(64))
	}
	to := local4
	if door.Target.Is4() && r.IntN(2) == 0 {
		to = door.Target
	}
	rest := []byte{byte(n >> 8), byte(n), byte(step.Port >> 8), byte(step.Port), 0, 8, 0, 0}
	if step.Proto == knock.TCP {
		rest = append(rest[:4], byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0)
	}
	b := []byte{0x45, 0, 0, byte(20 + len(rest)), 0, 0, 0, 0, 64, byte(step.Proto), 0, 0, 203, 0, 113, byte(1 + r.IntN(3))}
	return append(append(b, to.AsSlice()...), rest...)
}
