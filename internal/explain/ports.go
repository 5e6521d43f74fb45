package explain

import (
	"fmt"
	"slices"

	"knockd/internal/knock"
)

// Ports is what a configuration says of ports: which are secrets, and which were.
type Ports struct {
	secret map[knock.Step]bool
	ranges []knock.PortRange // secret, too
	lines  []Line            // that are used
	used   map[knock.Step]lineStep
	first  map[knock.Step]bool // that can be the first of a used line
}

// Line is a line of a door's file of one-time sequences.
type Line struct {
	Door   knock.DoorID
	Steps  []knock.Step
	File   string
	Number int // from 1
}

// lineStep is a step of a used line, from 1.
type lineStep struct {
	line *Line
	step int
}

// NewPorts returns what doors with sequences say, and the lines of one-time files
// that can be used.
func NewPorts(doors []*knock.Door, unused []Line) *Ports {
	p := &Ports{secret: map[knock.Step]bool{}, used: map[knock.Step]lineStep{}, first: map[knock.Step]bool{}}
	for _, d := range doors {
		p.hide(d.Sequence)
		for _, s := range d.Sequence {
			if s.Port == 0 {
				for _, r := range d.OpenPorts {
					p.ranges = append(p.ranges, knock.PortRange{Proto: s.Proto, First: r.First, Last: r.Last})
				}
			}
		}
	}
	for _, l := range unused {
		p.hide(l.Steps)
	}
	return p
}

// Use adds a line that is used. Several that differ in their first step alone may
// stand for one.
func (p *Ports) Use(l Line) {
	p.lines = append(p.lines, l)
	for i, s := range l.Steps {
		if i == 0 {
			p.first[s] = true
		}
		if i > 0 || len(l.Steps) == 1 {
			p.used[s] = lineStep{&l, i + 1}
		}
	}
}

func (p *Ports) hide(steps []knock.Step) {
	for _, s := range steps {
		p.secret[s] = true
	}
}

// Secret reports whether a hit's port is one of a sequence, used or not.
func (p *Ports) Secret(h *knock.Hit) bool {
	if p == nil {
		return false
	}
	s := step(h)
	return p.secret[s] || p.used[s].line != nil || slices.ContainsFunc(p.ranges, func(r knock.PortRange) bool { return r.Has(s) })
}

func step(h *knock.Hit) knock.Step { return knock.Step{Proto: h.Proto, Port: h.DstPort} }

// usedStep says of which used line a hit is a step, behind the first; "" if of none.
func (p *Ports) usedStep(h *knock.Hit) string {
	if p == nil || len(p.used) == 0 {
		return ""
	}
	at := p.used[step(h)]
	if at.line == nil {
		return ""
	}
	return at.line.words(at.step)
}

func (l *Line) words(step int) string {
	return fmt.Sprintf("step %d of %d of line %d of %s, which is used", step, len(l.Steps), l.Number, l.File)
}

// usedBy returns the used line that a source has knocked, nil if it has none: its
// steps in order, one behind the other. It names the packets by these steps.
func (p *Ports) usedBy(packets []Packet) *Line {
	if p == nil || len(p.lines) == 0 {
		return nil
	}
	var hits []*Packet
	for i := range packets {
		h := &packets[i]
		if s := step(&h.Hit); h.Message == nil && knock.Foremost(h.Verdicts) != knock.Repeat && (p.first[s] || p.used[s].line != nil) {
			hits = append(hits, h)
		}
	}
	for n := len(p.lines) - 1; n >= 0; n-- {
		l := &p.lines[n]
		for i := 0; i+len(l.Steps) <= len(hits); i++ {
			if knock.Foremost(hits[i+len(l.Steps)-1].Verdicts) == knock.Took || !slices.EqualFunc(hits[i:i+len(l.Steps)], l.Steps, func(h *Packet, s knock.Step) bool { return step(&h.Hit) == s }) {
				continue
			}
			for k, h := range hits[i : i+len(l.Steps)] {
				h.Note, h.hidden = l.words(k+1), true
			}
			return l
		}
	}
	return nil
}
