package inspect

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// The target evaluates made-up chains as the inspector does, and again in a way
// of its own in which every condition is known or decided beforehand.

// condition is a part of a made-up rule.
type condition struct {
	exprs   []expr.Any
	matches bool // for the packet, unless it is unknown
	unknown bool // it depends on what is not known of the packet
	source  bool // on its source address
	port    bool // it speaks of the port
}

// madeRule is a rule of a made-up chain.
type madeRule struct {
	conditions []condition
	verdict    *expr.Verdict // nil: none
	dispatch   bool          // whether it goes elsewhere is unknown, but does not hang on the source
}

// matches reports whether all of its conditions hold; those that are unknown do if
// assume says so.
func (r *madeRule) matches(assume bool) bool {
	for _, c := range r.conditions {
		if c.unknown && !assume || !c.unknown && !c.matches {
			return false
		}
	}
	return true
}

// unknown reports whether it depends on what is not known.
func (r *madeRule) unknown() bool {
	for _, c := range r.conditions {
		if c.unknown {
			return true
		}
	}
	return false
}

// madeUp are chains that only jump to later ones.
type madeUp struct {
	packet packet
	chains [][]*madeRule
}

const madeChains = 4

var madeTable = &nftables.Table{Family: nftables.TableFamilyINet, Name: "made"}

// makeUp reads chains from what the engine gives.
func makeUp(data []byte) *madeUp {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	head := next()
	m := &madeUp{packet: packet{proto: knock.TCP, port: 1000 + uint16(head>>4), v6: head&1 != 0, established: head&4 != 0}}
	if head&2 != 0 {
		m.packet.proto = knock.UDP
	}
	if head&8 != 0 {
		m.packet.opened, m.packet.mark = &door{}, 0x100000
	}
	for i := range madeChains {
		var chain []*madeRule
		for range next() % 5 {
			r := &madeRule{}
			kind := next()
			for range kind % 3 {
				r.conditions = append(r.conditions, m.condition(next(), next()))
			}
			r.verdict = verdictOf(kind/3, i)
			jump := r.verdict != nil && (r.verdict.Chain != "" || r.verdict.Kind == expr.VerdictReturn)
			r.dispatch = jump && r.unknown() && !slices.ContainsFunc(r.conditions, func(c condition) bool { return c.source })
			chain = append(chain, r)
		}
		m.chains = append(m.chains, chain)
	}
	return m
}

func verdictOf(n byte, chain int) *expr.Verdict {
	later := fmt.Sprint(min(chain+1+int(n/7)%3, madeChains)) // one more than there is: an empty one
	switch n % 7 {
	case 0, 1:
		return &expr.Verdict{Kind: expr.VerdictAccept}
	case 2, 3:
		return &expr.Verdict{Kind: expr.VerdictDrop}
	case 4:
		return &expr.Verdict{Kind: expr.VerdictReturn}
	case 5:
		return &expr.Verdict{Kind: expr.VerdictJump, Chain: later}
	}
	if n/7%4 == 3 {
		return nil
	}
	return &expr.Verdict{Kind: expr.VerdictGoto, Chain: later}
}

// condition is one of those that hosts have.
func (m *madeUp) condition(kind, arg byte) condition {
	p := m.packet
	op, order := expr.CmpOp(arg>>5%6), func(a, b int) bool { return compared(expr.CmpOp(arg>>5%6), a, b) }
	cmp := func(data []byte) *expr.Cmp { return &expr.Cmp{Op: op, Register: 1, Data: data} }
	port := 1000 + uint16(arg&0x1f)
	be := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	dport := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	equal := arg&1 == 0 // or not equal
	either := expr.CmpOpEq
	if !equal {
		either = expr.CmpOpNeq
	}
	switch kind % 10 {
	case 0:
		return condition{port: true, exprs: []expr.Any{dport, cmp(be(port))}, matches: order(int(p.port), int(port))}
	case 1:
		last := port + uint16(kind>>5)
		return condition{port: true, exprs: []expr.Any{dport, &expr.Range{Op: either, Register: 1, FromData: be(port), ToData: be(last)}},
			matches: (port <= p.port && p.port <= last) == equal}
	case 2:
		return condition{port: true, exprs: []expr.Any{dport, &expr.Lookup{SourceRegister: 1, SetName: "odd", Invert: !equal}}, matches: (p.port%2 == 1) == equal}
	case 3:
		return condition{exprs: []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: either, Register: 1, Data: []byte{unix.IPPROTO_TCP}}},
			matches: (p.proto == knock.TCP) == equal}
	case 4:
		return condition{exprs: []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: either, Register: 1, Data: []byte{unix.NFPROTO_IPV6}}},
			matches: p.v6 == equal}
	case 5:
		return condition{exprs: []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: native(0)},
			&expr.Cmp{Op: either, Register: 1, Data: native(0)}}, matches: p.established != equal}
	case 6:
		return condition{port: p.opened != nil, exprs: []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(0x100000), Xor: native(0)},
			&expr.Cmp{Op: either, Register: 1, Data: native(0x100000)}}, matches: (p.mark != 0) == equal}
	case 7:
		return condition{exprs: []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: either, Register: 1, Data: []byte("lo\x00")}}, matches: !equal}
	case 8:
		return condition{unknown: true, source: true, exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}, cmp([]byte{10, 0, 0, arg})}}
	}
	return condition{unknown: true, exprs: []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte("eth1\x00")}}}
}

func compared(op expr.CmpOp, a, b int) bool {
	switch op {
	case expr.CmpOpEq:
		return a == b
	case expr.CmpOpNeq:
		return a != b
	case expr.CmpOpLt:
		return a < b
	case expr.CmpOpLte:
		return a <= b
	case expr.CmpOpGt:
		return a > b
	}
	return a >= b
}

// inspector is one that has read the chains.
func (m *madeUp) inspector() *inspector {
	x := &inspector{rules: map[chainKey][]*nftables.Rule{}, sets: map[setKey]*contents{}}
	odd := &contents{set: &nftables.Set{Name: "odd", KeyType: nftables.TypeInetService}}
	for port := uint16(1001); port < 1100; port += 2 {
		odd.elements = append(odd.elements, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, port)})
	}
	x.sets[setKey{nft.TableOf(madeTable), "odd"}] = odd
	for i, chain := range m.chains {
		c := &nftables.Chain{Table: madeTable, Name: fmt.Sprint(i)}
		for _, r := range chain {
			rule := &nftables.Rule{Table: madeTable, Chain: c}
			for _, c := range r.conditions {
				rule.Exprs = append(rule.Exprs, c.exprs...)
			}
			if r.verdict != nil {
				rule.Exprs = append(rule.Exprs, r.verdict)
			}
			x.rules[keyOf(c)] = append(x.rules[keyOf(c)], rule)
		}
	}
	return x
}

// run follows the packet through a chain; taken says for each rule with an
// unknown condition whether that holds.
func (m *madeUp) run(chain int, taken map[*madeRule]bool) outcome {
	if chain >= len(m.chains) {
		return through
	}
	for _, r := range m.chains[chain] {
		if r.verdict == nil || !r.matches(taken[r]) {
			continue
		}
		switch r.verdict.Kind {
		case expr.VerdictAccept:
			return accepts
		case expr.VerdictDrop:
			return drops
		case expr.VerdictReturn:
			return through
		}
		var target int
		fmt.Sscan(r.verdict.Chain, &target)
		if got := m.run(target, taken); got != through || r.verdict.Kind == expr.VerdictGoto {
			return got
		}
	}
	return through
}

// some reports whether the packet can come to an end if nothing unknown holds but
// what chooses between chains by the interface, for some choice of that.
func (m *madeUp) some(want outcome) bool {
	var choices []*madeRule
	for _, chain := range m.chains {
		for _, r := range chain {
			if r.dispatch {
				choices = append(choices, r)
			}
		}
	}
	for n := range 1 << min(len(choices), 10) {
		taken := map[*madeRule]bool{}
		for i, r := range choices {
			taken[r] = n>>i&1 != 0
		}
		if m.run(0, taken) == want {
			return true
		}
	}
	return false
}

// FuzzEvaluate: what is known of a packet is followed as the kernel would; that
// it is dropped is said only if it is, unless something unknown saves it; and
// that everybody gets through only if nothing about the source is needed.
func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(200) {
		data := make([]byte, 40)
		for i := range data {
			data[i] = byte((seed*2654435761 + uint64(i)*40503*(seed+1)) >> 7)
		}
		f.Add(data)
	}
	f.Add([]byte{0, 1, 0*3 + 1 + 3*5, 8, 0, 1, 0}) // ip saddr 10.0.0.0 jump to what accepts
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 60 {
			t.Skip()
		}
		m := makeUp(data)
		depends := false
		for _, chain := range m.chains {
			for _, r := range chain {
				depends = depends || r.unknown()
			}
		}
		chain := &nftables.Chain{Table: madeTable, Name: "0"}
		never := m.run(0, nil)
		for _, surely := range []bool{false, true} {
			p := m.packet
			p.surely = surely
			got := m.inspector().evaluate(p, chain)
			switch {
			case !depends && got != never:
				t.Fatalf("surely %v: %v, and the kernel: %v\n%v", surely, got, never, m)
			case got == drops && never != drops:
				t.Fatalf("surely %v: dropped, and the kernel: %v\n%v", surely, never, m)
			case surely && got == accepts && !m.some(accepts):
				t.Fatalf("everybody is let through, and only some are\n%v", m)
			}
		}
	})
}

// String shows the chains.
func (m *madeUp) String() (text string) {
	text = fmt.Sprintf("%v/%d v6 %v established %v mark %#x\n", m.packet.proto, m.packet.port, m.packet.v6, m.packet.established, m.packet.mark)
	for i, chain := range m.chains {
		text += fmt.Sprintf("chain %d\n", i)
		for _, r := range chain {
			for _, c := range r.conditions {
				text += fmt.Sprintf("\t{holds %v unknown %v source %v port %v}", c.matches, c.unknown, c.source, c.port)
			}
			if text += "\n"; r.verdict != nil {
				text += fmt.Sprintf("\t\t-> %v %s\n", r.verdict.Kind, r.verdict.Chain)
			}
		}
	}
	return text
}

// TestNoLoop: chains that call each other over and over, which the kernel does
// not take, and chains that call each of the next ones several times, which it
// does, are followed in time.
func TestNoLoop(t *testing.T) {
	x := &inspector{rules: map[chainKey][]*nftables.Rule{}}
	const deep, many = 16, 20
	for i := range deep {
		c := &nftables.Chain{Table: madeTable, Name: fmt.Sprint(i)}
		for range many {
			x.rules[keyOf(c)] = append(x.rules[keyOf(c)], &nftables.Rule{Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: fmt.Sprint((i + 1) % deep)}}})
		}
	}
	first := &nftables.Chain{Table: madeTable, Name: "0"}
	if got := x.evaluate(packet{proto: knock.TCP, port: 22}, first); got != through {
		t.Errorf("%v", got)
	}
}
