package explain

import (
	"net/netip"
	"slices"
	"time"

	"knockd/internal/knock"
)

// Opening is what a door opens.
type Opening struct {
	Ports []knock.PortRange // none: it is not known
	For   time.Duration     // 0: until somebody closes it
}

// opening is a door that was opened lately.
type opening struct {
	door      knock.DoorID
	src       netip.Addr
	at        time.Time
	what      Opening
	connected bool       // its knocker has come in, or somebody else was told of
	stranger  netip.Addr // who that is
}

const (
	// watchOpen is for how long others are looked at who try what was opened.
	watchOpen = 30 * time.Second
	// maxOpened is how many openings are remembered for that.
	maxOpened = 256
)

// opens notes that a door has opened for an address.
func (t *Teller) opens(s *Story, at time.Time, door knock.DoorID, src netip.Addr, ports []knock.PortRange) {
	o := &opening{door: door, src: src, at: at}
	if t.o.Opens != nil {
		o.what = t.o.Opens(door)
	}
	if ports != nil {
		o.what.Ports = ports
	}
	d := s.visit(&knock.Verdict{Door: door})
	if d != nil {
		d.Opened, d.Open = at, o.what.For
	}
	if r := t.refusal; r != nil && r.Opening.Door.String() == door.String() {
		if d != nil {
			d.refused = refusal(r)
		}
		return
	}
	if len(t.opened) == maxOpened {
		t.opened = slices.Delete(t.opened, 0, 1)
	}
	t.opened = append(t.opened, o)
	s.opening = o
}

// connects reports whether a hit begins a TCP connection.
func connects(h *knock.Hit) bool {
	return h.Proto == knock.TCP && h.Flags&(knock.SYN|knock.ACK|knock.RST|knock.FIN) == knock.SYN
}

// leads reports whether a hit is at a port that was opened, as far as that is known.
func (o *opening) leads(h *knock.Hit) bool {
	return slices.ContainsFunc(o.what.Ports, func(r knock.PortRange) bool {
		return r.Has(step(h))
	})
}

// lookForStranger sees whether a connection is tried through a door that was opened
// for somebody else, who has not come: then it is in that one's story.
func (t *Teller) lookForStranger(p *Packet) bool {
	if len(t.opened) == 0 || !connects(&p.Hit) || len(p.Verdicts) == 0 || knock.Foremost(p.Verdicts) != knock.NoStep {
		return false
	}
	t.opened = slices.DeleteFunc(t.opened, func(o *opening) bool { return p.At.Sub(o.at) > watchOpen })
	for _, o := range t.opened {
		if o.src == p.Hit.Src && o.leads(&p.Hit) {
			o.connected = true
			return false
		}
	}
	for _, o := range t.opened {
		s := t.stories[o.src]
		if o.stranger == p.Hit.Src && o.leads(&p.Hit) {
			return true // once more
		}
		if o.connected || !o.leads(&p.Hit) || s == nil || s.opening != o {
			continue
		}
		o.connected, o.stranger = true, p.Hit.Src
		kept := *p
		kept.Verdicts = slices.Clone(p.Verdicts)
		kept.Note = "from " + p.Hit.Src.String() + ", for which " + o.door.String() + " is not open"
		s.stranger = &kept
		t.hold(s, &kept, false)
		return true
	}
	return false
}

// note adds to a packet what else is known of it.
func (t *Teller) note(s *Story, p *Packet) {
	if p.Message != nil || len(p.Verdicts) == 0 || knock.Foremost(p.Verdicts) != knock.NoStep {
		return
	}
	if step := t.o.Ports.usedStep(&p.Hit); step != "" {
		p.Note = step
		return
	}
	if o := s.opening; o != nil && connects(&p.Hit) && o.leads(&p.Hit) {
		o.connected = true
		p.Note = "a connection that " + o.door.String() + " lets in"
	}
}
