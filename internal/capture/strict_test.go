package capture

import (
	"fmt"
	"testing"

	"golang.org/x/net/bpf"

	"knockd/internal/knock"
)

// TestFilterOfStrictDoors: what could fail an attempt passes, whatever its
// port; established connections and ignored ports do not; and without a strict
// door nothing of it does.
func TestFilterOfStrictDoors(t *testing.T) {
	door := knock.Door{
		Sequence:     []knock.Step{{Proto: knock.TCP, Port: 7000}, {Proto: knock.UDP}},
		OpenPorts:    []knock.PortRange{{First: 8000, Last: 8100}},
		Flags:        knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK},
		StrictIgnore: []knock.PortRange{{Proto: knock.UDP, First: 50000, Last: 60000}, {Proto: knock.TCP, First: 443, Last: 443}, {Proto: knock.UDP, First: 1, Last: 100}, {Proto: knock.UDP, First: 55000, Last: 65535}},
	}
	for _, strict := range []bool{true, false} {
		door.Strict = strict
		w := &FilterSpec{Outgoing: true} // the interpreter does not know packet types
		w.AddDoor(&door)
		prog, err := compile(w, maxInstructions)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(prog)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			proto         knock.Protocol
			port          uint16
			flags         knock.Flags
			strict, plain bool
		}{
			{knock.TCP, 7000, knock.SYN, true, true}, {knock.UDP, 8000, 0, true, true}, {knock.UDP, 8100, 0, true, true},
			{knock.UDP, 8101, 0, true, false}, {knock.TCP, 8000, knock.SYN, true, false}, {knock.TCP, 22, knock.SYN, true, false},
			{knock.TCP, 22, knock.ACK, false, false}, {knock.TCP, 22, knock.SYN | knock.ACK, false, false},
			{knock.TCP, 7000, knock.ACK, false, false}, {knock.TCP, 443, knock.SYN, false, false}, {knock.UDP, 443, 0, true, false},
			{knock.UDP, 0, 0, true, false}, {knock.UDP, 1, 0, false, false}, {knock.UDP, 100, 0, false, false},
			{knock.UDP, 101, 0, true, false}, {knock.UDP, 49999, 0, true, false}, {knock.UDP, 50000, 0, false, false},
			{knock.UDP, 65535, 0, false, false}, {knock.TCP, 65535, knock.SYN, true, false}, {knock.TCP, 0, knock.SYN, true, false},
		} {
			b := fmt.Sprintf("\x45\x00\x00\x28\x00\x00\x00\x00\x40%c\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02", rune(c.proto))
			port := string([]byte{byte(c.port >> 8), byte(c.port)})
			b += "\x9c\x40" + port + "\x00\x00\x00\x00\x00\x00\x00\x00\x50" + string(rune(c.flags)) + "\x00\x00\x00\x00\x00\x00"
			n, err := vm.Run([]byte(b))
			want := c.plain
			if strict {
				want = c.strict
			}
			if err != nil || (n > 0) != want {
				t.Errorf("strict %v: %v %d %v: %d octets pass, want any: %v (%v)", strict, c.proto, c.port, c.flags, n, want, err)
			}
		}
	}
}
