package inspect

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// oddRule is a rule of expressions in any order, with any registers and lengths.
func oddRule(data []byte) *nftables.Rule {
	next := func() (b byte) {
		if len(data) > 0 {
			b, data = data[0], data[1:]
		}
		return b
	}
	some := func() []byte {
		n := min(int(next()%50), len(data))
		b := data[:n]
		data = data[n:]
		return b
	}
	reg := func() uint32 { return []uint32{0, 1, 2, 8, 9, 23, 1 << 31}[next()%7] }
	r := &nftables.Rule{}
	for len(data) > 0 {
		var e expr.Any
		switch next() % 13 {
		case 0:
			e = &expr.Payload{DestRegister: reg(), Base: expr.PayloadBase(next() % 4), Offset: uint32(next()), Len: uint32(next())}
		case 1:
			e = &expr.Meta{Key: expr.MetaKey(next() % 40), Register: reg(), SourceRegister: next()&1 != 0}
		case 2:
			e = &expr.Ct{Key: expr.CtKey(next() % 20), Register: reg()}
		case 3:
			e = &expr.Fib{Register: reg(), ResultADDRTYPE: next()&1 != 0, FlagDADDR: next()&1 != 0}
		case 4:
			e = &expr.Bitwise{SourceRegister: reg(), DestRegister: reg(), Len: uint32(next()), Mask: some(), Xor: some()}
		case 5:
			e = &expr.Byteorder{SourceRegister: reg(), DestRegister: reg(), Len: uint32(next()), Size: uint32(next())}
		case 6:
			e = &expr.Immediate{Register: reg(), Data: some()}
		case 7:
			e = &expr.Cmp{Op: expr.CmpOp(next() % 7), Register: reg(), Data: some()}
		case 8:
			e = &expr.Range{Op: expr.CmpOp(next() % 3), Register: reg(), FromData: some(), ToData: some()}
		case 9:
			e = &expr.Lookup{SourceRegister: reg(), DestRegister: reg(), IsDestRegSet: next()&1 != 0, SetName: fmt.Sprint("set", next()%4), Invert: next()&1 != 0}
		case 10:
			info := xt.Unknown(some())
			e = &expr.Match{Name: []string{"mark", "multiport", "set", "x"}[next()%4], Info: &info}
		case 11:
			e = &expr.Limit{}
		case 12:
			e = &expr.Verdict{Kind: expr.VerdictKind(int8(next())), Chain: fmt.Sprint(next() % 3)}
		}
		r.Exprs = append(r.Exprs, e)
	}
	return r
}

// oddSets are sets of keys of one part, of several, in intervals, and a map whose
// elements do not fit.
func oddSets() map[setKey]*contents {
	port := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	joined := nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
	sets := map[setKey]*contents{}
	for i, c := range []*contents{
		{&nftables.Set{KeyType: nftables.TypeInetService}, []nftables.SetElement{{Key: port(22)}, {Key: nil}}},
		{&nftables.Set{KeyType: joined, Concatenation: true}, []nftables.SetElement{{Key: []byte{6, 0, 0, 0, 0, 22, 0, 0}, KeyEnd: []byte{6, 0, 0, 0, 0, 30}}}},
		{&nftables.Set{KeyType: nftables.TypeInetService, Interval: true}, []nftables.SetElement{{Key: port(0), IntervalEnd: true}, {Key: port(20)}, {Key: port(30), IntervalEnd: true}}},
		{&nftables.Set{KeyType: nftables.TypeMark, IsMap: true}, []nftables.SetElement{{Key: native(1), Val: []byte{1}}, {Key: native(0), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: "1"}}}},
	} {
		sets[setKey{nft.TableOf(madeTable), fmt.Sprint("set", i)}] = c
	}
	return sets
}

// FuzzOddRules: no rule that the kernel could ever show makes the inspector
// panic, or say another thing the second time.
func FuzzOddRules(f *testing.F) {
	f.Add([]byte{0, 1, 2, 2, 2, 7, 0, 1, 2, 0, 22, 12, 1, 0}, uint8(0))
	f.Add([]byte{1, 16, 1, 0, 7, 0, 1, 1, 6, 0, 1, 2, 2, 2, 9, 1, 1, 1, 1, 0}, uint8(1))
	f.Add([]byte{2, 0, 1, 4, 1, 1, 4, 4, 255, 0, 0, 0, 4, 0, 0, 0, 0, 7, 1, 1, 4, 0, 0, 0, 0, 12, 253, 1}, uint8(2))
	f.Add([]byte{10, 48, 1, 1, 22, 0, 12, 1, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		if len(data) > 80 {
			t.Skip()
		}
		x := &inspector{rules: map[chainKey][]*nftables.Rule{}, sets: oddSets()}
		first := &nftables.Chain{Table: madeTable, Name: "0"}
		for i := range 3 {
			c := &nftables.Chain{Table: madeTable, Name: fmt.Sprint(i)}
			x.rules[keyOf(c)] = []*nftables.Rule{oddRule(data[min(i*len(data)/3, len(data)):])}
		}
		p := packet{proto: knock.TCP, port: 22, v6: kind&1 != 0, surely: kind&2 != 0, established: kind&4 != 0}
		if kind&8 != 0 {
			p.opened, p.mark = &door{}, 1
		}
		if a, b := x.evaluate(p, first), x.evaluate(p, first); a != b || a > translates {
			t.Fatalf("%v, then %v", a, b)
		}
	})
}
