package inspect

import (
	"bytes"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// contents is a set as far as it can be read.
type contents struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

func (x *inspector) contents(t knock.Table, name string) *contents {
	key := setKey{t, name}
	if c, ok := x.sets[key]; ok {
		return c
	}
	var c *contents
	sets, err := x.reader.Sets(t)
	if i := slices.IndexFunc(sets, func(s *nftables.Set) bool { return s.Name == name }); err == nil && i >= 0 {
		if elements, err := x.reader.Elements(sets[i]); err == nil {
			c = &contents{sets[i], elements}
		}
	}
	x.sets[key] = c
	return c
}

// lookup finds the packet in a set or map.
func (x *inspector) lookup(p packet, t knock.Table, e *expr.Lookup, regs registers, m *matching) certainty {
	if p.opened != nil && p.opened.goesTo(knock.SetName{Table: t, Name: e.SetName}) && !e.Invert {
		m.port = true
		return yes
	}
	c := x.contents(t, e.SetName)
	if c == nil {
		return maybe
	}
	key, known := x.key(c.set, e.SourceRegister, regs, m)
	if !known {
		if e.IsDestRegSet {
			m.verdict = x.anyVerdict(c)
		}
		return maybe
	}
	found := c.find(key)
	if e.IsDestRegSet && found != nil && e.DestRegister == unix.NFT_REG_VERDICT {
		m.verdict = found.VerdictData
	} else if e.IsDestRegSet && found != nil {
		regs[index(e.DestRegister)] = &value{data: found.Val}
	}
	return boolean((found != nil) != e.Invert)
}

// anyVerdict stands for the verdicts of a map when it is not known which it
// will be: the first that leads to another chain, since that can be followed.
func (x *inspector) anyVerdict(c *contents) *expr.Verdict {
	for _, e := range c.elements {
		if v := e.VerdictData; v != nil && v.Chain != "" {
			return v
		}
	}
	return nil
}

// goesTo reports whether openings of the door are elements of a set.
func (s *door) goesTo(name knock.SetName) bool { return s.v4 == name || s.v6 == name }

// key joins the registers that make up a set's key.
func (x *inspector) key(set *nftables.Set, reg uint32, regs registers, m *matching) (key []byte, known bool) {
	at := index(reg)
	known = true
	for _, part := range nftables.ConcatSetTypeElements(set.KeyType) {
		size := (part.Bytes + 3) / 4
		v := regs[at]
		if v == nil || v.data == nil || part.Bytes == 0 || len(v.data) > int(size*4) {
			known = false
		} else {
			key = append(key, v.data...)
			if set.Concatenation || int(set.KeyType.Bytes) > len(v.data) {
				key = append(key, make([]byte, int(size*4)-len(v.data))...)
			}
		}
		if v != nil {
			m.port, m.source = m.port || v.port, m.source || v.source
		}
		at += size
	}
	return key, known
}

// find returns the element that covers a key.
func (c *contents) find(key []byte) *nftables.SetElement {
	if c.set.Interval && !slices.ContainsFunc(c.elements, func(e nftables.SetElement) bool { return len(e.KeyEnd) > 0 }) {
		return c.interval(key)
	}
	for i, e := range c.elements {
		if bytes.Equal(e.Key, key) || len(e.KeyEnd) == len(key) && between(key, e) {
			return &c.elements[i]
		}
	}
	return nil
}

// between compares each part of a concatenation, whose length is four octets
// or a multiple of that.
func between(key []byte, e nftables.SetElement) bool {
	for i := 0; i+4 <= len(key) && i+4 <= len(e.Key); i += 4 {
		part := key[i : i+4]
		if bytes.Compare(part, e.Key[i:i+4]) < 0 || bytes.Compare(part, e.KeyEnd[i:i+4]) > 0 {
			return false
		}
	}
	return len(key) == len(e.Key)
}

// interval finds a key where elements are the starts and ends of intervals.
func (c *contents) interval(key []byte) *nftables.SetElement {
	var start *nftables.SetElement
	for i, e := range c.elements {
		if bytes.Compare(e.Key, key) > 0 {
			continue
		}
		later := start == nil || bytes.Compare(e.Key, start.Key) > 0 ||
			bytes.Equal(e.Key, start.Key) && start.IntervalEnd
		if later {
			start = &c.elements[i]
		}
	}
	if start == nil || start.IntervalEnd {
		return nil
	}
	return start
}
