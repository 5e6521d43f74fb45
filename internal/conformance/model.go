package conformance

import (
	"strings"
	"time"

	"knockd/internal/knock"
)

// Model is knockd 0.8 as its users meet it, written as plainly as can be. It
// has no retransmissions to forgive and, without a Limit, no bounds.
type Model struct {
	Doors []*knock.Door
	// ListBug is 0.8's fault: when the oldest attempt of all leaves the list,
	// the others are lost with it, whoever they belong to.
	ListBug bool
	// Limit, if not 0, is this project's: at most so many attempts live at
	// once. For one more the oldest makes room of the door that has most: of
	// the knocked one itself if none has more, else of the first such door.
	Limit int

	list []*progress // oldest first
	log  strings.Builder
}

type progress struct {
	door  *knock.Door
	hit   knock.Hit // the first one
	begun time.Time
	stage int // as in the log; over is beyond every stage
	over  bool
}

// Run returns the log of a trace.
func (m *Model) Run(packets []Packet) string {
	m.list, m.log = nil, strings.Builder{}
	for _, p := range packets {
		if m.visible(p.Hit) {
			m.sweep(p.Time)
			m.hit(p)
		}
	}
	return m.log.String()
}

// visible is the kernel filter.
func (m *Model) visible(h knock.Hit) bool {
	for _, d := range m.Doors {
		if !here(d, h) || !flagsFit(d, h) {
			continue
		}
		for _, s := range d.Sequence {
			if s.Port == h.DstPort && s.Proto == h.Proto {
				return true
			}
		}
	}
	return false
}

// sweep takes what has ended off the list.
func (m *Model) sweep(now time.Time) {
	var kept []*progress
	headLeft := false
	for i, p := range m.list {
		expired := !p.over && now.Sub(p.begun) >= p.door.Timeout
		if expired {
			m.say(knock.Expired, p.door, p.hit, p.stage)
		}
		if p.over || expired {
			headLeft = headLeft || i == 0
			continue
		}
		kept = append(kept, p)
	}
	if m.ListBug && headLeft {
		kept = nil
	}
	m.list = kept
}

func (m *Model) hit(p Packet) {
	concerned := false
	for _, a := range m.list {
		if a.hit.Src != p.Src || !here(a.door, p.Hit) {
			continue
		}
		concerned = true
		if !flagsFit(a.door, p.Hit) {
			continue
		}
		if want := a.door.Sequence[a.stage]; want.Port != p.DstPort || want.Proto != p.Proto {
			a.over = true
			continue
		}
		m.advance(a)
	}
	if concerned {
		return
	}
	for _, d := range m.Doors {
		if first := d.Sequence[0]; first.Port == p.DstPort && first.Proto == p.Proto && here(d, p.Hit) && flagsFit(d, p.Hit) {
			a := &progress{door: d, hit: p.Hit, begun: p.Time}
			if len(d.Sequence) > 1 {
				m.room(d)
			}
			m.list = append(m.list, a)
			m.advance(a)
		}
	}
}

// room makes room for one attempt more at a door.
func (m *Model) room(d *knock.Door) {
	live := 0
	count, oldest := map[*knock.Door]int{}, map[*knock.Door]*progress{}
	for _, a := range m.list {
		if a.over {
			continue
		}
		live++
		count[a.door]++
		if oldest[a.door] == nil {
			oldest[a.door] = a
		}
	}
	if m.Limit == 0 || live < m.Limit {
		return
	}
	for _, other := range m.Doors {
		if count[other] > count[d] {
			d = other
		}
	}
	oldest[d].over = true
}

func (m *Model) advance(a *progress) {
	a.stage++
	m.say(knock.Stage, a.door, a.hit, a.stage)
	if a.stage == len(a.door.Sequence) {
		m.say(knock.Opened, a.door, a.hit, a.stage)
		a.over = true
	}
}

func (m *Model) say(kind knock.Kind, d *knock.Door, h knock.Hit, stage int) {
	m.log.WriteString(Text(knock.Decision{Kind: kind, Door: d, Src: h.Src, Stage: stage}))
}

// here: the door's target or, without one, a local address.
func here(d *knock.Door, h knock.Hit) bool {
	if d.Target.IsValid() {
		return d.Target == h.Dst
	}
	for _, a := range Local {
		if a == h.Dst {
			return true
		}
	}
	return false
}

func flagsFit(d *knock.Door, h knock.Hit) bool {
	if h.Proto == knock.UDP {
		return true
	}
	return h.Flags&d.Flags.Set == d.Flags.Set && h.Flags&d.Flags.Clear == 0
}
