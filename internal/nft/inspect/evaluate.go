package inspect

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// outcome is what a chain does with a packet.
type outcome uint8

const (
	through outcome = iota // comes to the end of the chain
	accepts
	drops
	translates // changes its destination
)

// certainty is whether a packet matches, as far as can be known.
type certainty uint8

const (
	no certainty = iota
	maybe
	yes
)

func boolean(b bool) certainty {
	if b {
		return yes
	}
	return no
}

// visit is a chain that was followed, and whether doubtfully.
type visit struct {
	chain    chainKey
	doubtful bool
}

// evaluate follows a packet through a base chain and those it calls. Each of
// these is followed once: chains that call each of the next ones several times
// would take for ever.
func (x *inspector) evaluate(p packet, c *nftables.Chain) outcome {
	x.visited = map[visit]outcome{}
	return x.chain(p, c)
}

// chain follows a packet through a chain. One that leads to itself, which the
// kernel does not take, has no outcome.
func (x *inspector) chain(p packet, c *nftables.Chain) outcome {
	v := visit{keyOf(c), p.doubtful}
	got, known := x.visited[v]
	if !known {
		x.visited[v] = through
		got = x.chainOnce(p, c)
		x.visited[v] = got
	}
	return got
}

func (x *inspector) chainOnce(p packet, c *nftables.Chain) outcome {
	left := false // the packet may have left the chain
	for _, r := range x.rules[keyOf(c)] {
		m := x.match(p, nft.TableOf(c.Table), r)
		if m.certainty == no || m.verdict == nil {
			continue
		}
		got, stop := x.follow(p, c, m)
		if stop && left && got == drops {
			return through
		}
		if stop {
			return got
		}
		left = left || m.verdict.Kind == expr.VerdictReturn && (!m.source || m.asked(p))
	}
	return through
}

// follow acts on the verdict of a rule that matches, or may. stop says that
// the chain ends here.
func (x *inspector) follow(p packet, c *nftables.Chain, m matching) (got outcome, stop bool) {
	surely, asked := m.certainty == yes, m.asked(p)
	switch m.verdict.Kind {
	case expr.VerdictAccept:
		return accepts, surely && !p.doubtful || asked
	case expr.VerdictDrop:
		return drops, surely
	case expr.VerdictReturn:
		return through, surely
	case expr.VerdictJump, expr.VerdictGoto:
		target := &nftables.Chain{Name: m.verdict.Chain, Table: c.Table}
		p.doubtful = p.doubtful || m.source && !surely && !asked
		got = x.chain(p, target)
		goes := m.verdict.Kind == expr.VerdictGoto && surely
		return got, got == accepts || got == translates || got == drops && surely || goes
	case verdictTranslate:
		return translates, surely && !p.doubtful || m.port
	}
	return through, false
}

// verdictTranslate is a verdict of ours, for rules that end in dnat.
const verdictTranslate expr.VerdictKind = 1 << 30

// matching is what a rule says to a packet.
type matching struct {
	certainty certainty
	port      bool // it has looked at the port, or at what a knocker is known by
	source    bool // it depends on where the packet comes from
	verdict   *expr.Verdict
}

// registers are what a rule has loaded: nil is not known. They are counted
// in units of four octets from NFT_REG32_00.
type registers map[uint32]*value

// value is what a register holds.
type value struct {
	data    []byte // nil if it cannot be known
	port    bool   // the destination port is in it
	foreign bool   // the interface it came in on: anything but loopback
	source  bool   // a part of where it comes from is in it, and not known
}

// index turns a register's number into the first unit it covers.
func index(reg uint32) uint32 {
	if reg >= unix.NFT_REG32_00 {
		return reg - unix.NFT_REG32_00
	}
	return (reg - 1) * 4
}

// match evaluates a rule's expressions.
func (x *inspector) match(p packet, t knock.Table, r *nftables.Rule) matching {
	m := matching{certainty: yes}
	regs := registers{}
	for _, e := range r.Exprs {
		one := yes
		switch e := e.(type) {
		case *expr.Meta:
			one = meta(p, e, regs)
		case *expr.Payload:
			regs[index(e.DestRegister)] = payload(p, e)
		case *expr.Ct:
			regs[index(e.Register)] = conntrack(p, e)
		case *expr.Fib:
			regs[index(e.Register)] = fib(e)
		case *expr.Bitwise:
			regs[index(e.DestRegister)] = bitwise(regs[index(e.SourceRegister)], e)
		case *expr.Byteorder: // of single octets or host numbers: not followed
			if v := regs[index(e.SourceRegister)]; v != nil && e.Size > 1 && len(v.data) > 1 {
				regs[index(e.DestRegister)] = &value{source: v.source}
			}
		case *expr.Immediate:
			regs[index(e.Register)] = &value{data: e.Data}
		case *expr.Cmp:
			one = m.look(regs[index(e.Register)], func(v *value) certainty { return compare(v, e) })
		case *expr.Range:
			one = m.look(regs[index(e.Register)], func(v *value) certainty { return within(v, e) })
		case *expr.Lookup:
			one = x.lookup(p, t, e, regs, &m)
		case *expr.Match:
			one = xtMatch(p, e, &m)
		default:
			one = m.act(e)
		}
		if m.certainty = min(m.certainty, one); m.certainty == no {
			return m
		}
	}
	return m
}

// asked reports whether a rule speaks of the door's port, and that counts.
func (m *matching) asked(p packet) bool { return m.port && !p.surely }

// look compares a register and notes whether the port was in it.
func (m *matching) look(v *value, compare func(*value) certainty) certainty {
	if v == nil {
		return maybe
	}
	m.port, m.source = m.port || v.port, m.source || v.source
	return compare(v)
}

// act takes note of what a rule does.
func (m *matching) act(e expr.Any) certainty {
	switch e := e.(type) {
	case *expr.Verdict:
		m.verdict = e
	case *expr.Reject:
		m.verdict = &expr.Verdict{Kind: expr.VerdictDrop}
	case *expr.NAT:
		if e.Type == expr.NATTypeDestNAT {
			m.verdict = &expr.Verdict{Kind: verdictTranslate}
		}
	case *expr.Target:
		switch e.Name {
		case "DNAT":
			m.verdict = &expr.Verdict{Kind: verdictTranslate}
		case "REJECT":
			m.verdict = &expr.Verdict{Kind: expr.VerdictDrop}
		}
	case *expr.Counter, *expr.Log, *expr.Notrack:
	default: // limit, quota, numgen, dynset and so on: it depends
		return maybe
	}
	return yes
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// meta loads what is known of the packet beside its headers.
func meta(p packet, e *expr.Meta, regs registers) certainty {
	if e.SourceRegister {
		return yes // it sets something
	}
	v := &value{}
	switch e.Key {
	case expr.MetaKeyNFPROTO:
		v.data = []byte{unix.NFPROTO_IPV4}
		if p.v6 {
			v.data = []byte{unix.NFPROTO_IPV6}
		}
	case expr.MetaKeyL4PROTO:
		v.data = []byte{uint8(p.proto)}
	case expr.MetaKeyPROTOCOL:
		v.data = []byte{0x08, 0x00}
		if p.v6 {
			v.data = []byte{0x86, 0xdd}
		}
	case expr.MetaKeyMARK:
		v.data, v.port = native(p.mark), p.opened != nil
	case expr.MetaKeyIIF, expr.MetaKeyIIFNAME:
		v.foreign = true
	}
	regs[index(e.Register)] = v
	return yes
}

// payload loads what is known of the packet's headers.
func payload(p packet, e *expr.Payload) *value {
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		return &value{data: binary.BigEndian.AppendUint16(nil, p.port), port: true}
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 13 && e.Len == 1 && p.proto == knock.TCP:
		return &value{data: []byte{byte(knock.SYN)}}
	case e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 9 && e.Len == 1 && !p.v6,
		e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 6 && e.Len == 1 && p.v6:
		return &value{data: []byte{uint8(p.proto)}}
	}
	return &value{source: fromSource(p, e)}
}

// fromSource reports whether a part of the header is one of the source address, of
// IP or of the link.
func fromSource(p packet, e *expr.Payload) bool {
	first, end := uint32(12), uint32(16)
	if p.v6 {
		first, end = 8, 24
	}
	return e.Base == expr.PayloadBaseLLHeader || e.Base == expr.PayloadBaseNetworkHeader && e.Offset < end && e.Offset+e.Len > first
}

func conntrack(p packet, e *expr.Ct) *value {
	if e.Key == expr.CtKeySTATE {
		if p.established {
			return &value{data: native(expr.CtStateBitESTABLISHED)}
		}
		return &value{data: native(expr.CtStateBitNEW)}
	}
	return &value{}
}

func fib(e *expr.Fib) *value {
	if e.ResultADDRTYPE && e.FlagDADDR {
		return &value{data: native(unix.RTN_LOCAL)}
	}
	return &value{}
}

func bitwise(v *value, e *expr.Bitwise) *value {
	if v == nil || v.data == nil || len(v.data) != len(e.Mask) || len(e.Xor) != len(e.Mask) {
		return &value{source: v != nil && v.source}
	}
	out := &value{data: make([]byte, len(v.data)), port: v.port}
	for i := range out.data {
		out.data[i] = v.data[i]&e.Mask[i] ^ e.Xor[i]
	}
	return out
}

func compare(v *value, e *expr.Cmp) certainty {
	if v.foreign {
		return notLoopback(e)
	}
	if v.data == nil || len(v.data) < len(e.Data) {
		return maybe
	}
	order := bytes.Compare(v.data[:len(e.Data)], e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return boolean(order == 0)
	case expr.CmpOpNeq:
		return boolean(order != 0)
	case expr.CmpOpLt:
		return boolean(order < 0)
	case expr.CmpOpLte:
		return boolean(order <= 0)
	case expr.CmpOpGt:
		return boolean(order > 0)
	case expr.CmpOpGte:
		return boolean(order >= 0)
	}
	return maybe
}

// notLoopback compares the interface of a packet from elsewhere.
func notLoopback(e *expr.Cmp) certainty {
	loopback := bytes.Equal(bytes.TrimRight(e.Data, "\x00"), []byte("lo")) || bytes.Equal(e.Data, native(1))
	switch {
	case loopback && e.Op == expr.CmpOpEq:
		return no
	case loopback && e.Op == expr.CmpOpNeq:
		return yes
	}
	return maybe
}

func within(v *value, e *expr.Range) certainty {
	if v.data == nil {
		return maybe
	}
	in := bytes.Compare(v.data, e.FromData) >= 0 && bytes.Compare(v.data, e.ToData) <= 0
	return boolean(in == (e.Op == expr.CmpOpEq))
}
