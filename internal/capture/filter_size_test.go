package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"

	"knockd/internal/knock"
)

// randomPorts is a FilterSpec with n different ports.
func randomPorts(r *rand.Rand, n int) *FilterSpec {
	w := &FilterSpec{Outgoing: true}
	for _, port := range r.Perm(65535)[:n] {
		w.Matches = append(w.Matches, Match{Proto: knock.TCP, First: uint16(port + 1), Last: uint16(port + 1), Flags: knock.FlagMatch{Set: knock.SYN}})
	}
	return w
}

// steps returns how many instructions of a program run for a packet; the
// interpreter of x/net/bpf does not count them.
func steps(prog []bpf.Instruction, b []byte) int {
	var a, x uint32
	load := func(off, size uint32) (v uint32, ok bool) {
		if int(off+size) > len(b) {
			return 0, false
		}
		for _, o := range b[off : off+size] {
			v = v<<8 | uint32(o)
		}
		return v, true
	}
	n := 0
	for pc := 0; ; pc++ {
		n++
		ok := true
		switch i := prog[pc].(type) {
		case bpf.RetConstant:
			return n
		case bpf.LoadAbsolute:
			a, ok = load(i.Off, uint32(i.Size))
		case bpf.LoadIndirect:
			a, ok = load(x+i.Off, uint32(i.Size))
		case bpf.LoadMemShift:
			x = uint32(b[i.Off]&0xf) * 4
		case bpf.LoadConstant:
			x = i.Val
		case bpf.ALUOpConstant:
			a &= i.Val
		case bpf.Jump:
			pc += int(i.Skip)
		case bpf.JumpIf:
			yes := map[bpf.JumpTest]bool{
				bpf.JumpEqual: a == i.Val, bpf.JumpGreaterThan: a > i.Val,
				bpf.JumpGreaterOrEqual: a >= i.Val, bpf.JumpBitsSet: a&i.Val != 0,
			}[i.Cond]
			if yes {
				pc += int(i.SkipTrue)
			} else {
				pc += int(i.SkipFalse)
			}
		}
		if !ok {
			return n
		}
	}
}

// TestFilterSize checks that the work for a packet grows with the logarithm
// of the number of ports, and the program not above its limit.
func TestFilterSize(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, tt := range []struct{ ports, size, steps int }{
		{3, 50, 20}, {100, 260, 26}, {1000, maxInstructions, 28}, {10000, maxInstructions, 28}, {65535, 50, 20},
	} {
		w := randomPorts(r, tt.ports)
		prog, err := compile(w, maxInstructions)
		if err != nil {
			t.Fatal(err)
		}
		most, pass := 0, 0
		vm, _ := bpf.NewVM(prog)
		for port := range 65536 {
			b := []byte("\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02\x9c\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x50\x02\x00\x00\x00\x00\x00\x00")
			binary.BigEndian.PutUint16(b[22:], uint16(port))
			most = max(most, steps(prog, b))
			if n, _ := vm.Run(b); n > 0 {
				pass++
			}
		}
		t.Logf("%d ports: %d instructions, at most %d for a packet, %d ports pass", tt.ports, len(prog), most, pass)
		if len(prog) > tt.size || most > tt.steps || pass < tt.ports {
			t.Errorf("%d ports: %d instructions, at most %d for a packet, %d ports pass", tt.ports, len(prog), most, pass)
		}
	}
}

// BenchmarkFilter reports the instructions run for a packet that is nobody's knock.
func BenchmarkFilter(b *testing.B) {
	for _, ports := range []int{3, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			r := rand.New(rand.NewPCG(7, 7))
			prog, err := compile(randomPorts(r, ports), maxInstructions)
			if err != nil {
				b.Fatal(err)
			}
			syn := []byte("\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02\x9c\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x50\x10\x00\x00\x00\x00\x00\x00")
			total := 0
			for b.Loop() {
				binary.BigEndian.PutUint16(syn[22:], uint16(r.Uint32()))
				total += steps(prog, syn)
			}
			b.ReportMetric(float64(total)/float64(b.N), "instructions/packet")
			b.ReportMetric(float64(len(prog)), "instructions")
		})
	}
}
