package knock

import "time"

// explainer finds out what each hit was to the doors. A Tracker has one only
// while somebody asks: it costs more than deciding does.
type explainer struct {
	verdicts []Verdict // on the hit at hand
	users    map[Step][]int32
	wild     []int32 // doors that have a step of port 0
	lapsed   [lapsedEntries]lapsed
}

// lapsedEntries is how many attempts are remembered that have ended. Each has one
// place, by its source and door; the newest takes it.
const lapsedEntries = 8192

type lapsed struct {
	src   source
	door  int32 // its id
	lapse Lapse // 0: empty
	stage uint8
	at    int64
}

// SetExplaining has Verdicts say what each hit was to the doors.
func (t *Tracker) SetExplaining(explaining bool) {
	switch {
	case !explaining:
		t.explainer = nil
	case t.explainer == nil:
		t.explainer = &explainer{}
		t.explainer.setDoors(t.doors)
	}
}

// Verdicts returns what the hit last observed was to the doors, if SetExplaining
// asks for it: at least one verdict, of all doors that it did something to or, if
// there is none, of all that have its port. The result is valid until the next
// call of Observe.
func (t *Tracker) Verdicts() []Verdict {
	if t.explainer == nil {
		return nil
	}
	return t.explainer.verdicts
}

func (x *explainer) setDoors(doors []rules) {
	x.users, x.wild = map[Step][]int32{}, nil
	for i := range doors {
		wild := false
		for n, s := range doors[i].Sequence {
			switch {
			case s.Port == 0:
				wild = true
			case doors[i].stepOf(s.Proto, s.Port) == n+1: // else it is there twice
				x.users[s] = append(x.users[s], int32(i))
			}
		}
		if wild {
			x.wild = append(x.wild, int32(i))
		}
	}
}

// stepOf returns the first step that a port is, from 1; 0 if it is none.
func (d *Door) stepOf(proto Protocol, port uint16) int {
	h := Hit{Proto: proto, DstPort: port}
	for n := range d.Sequence {
		if d.takes(n, &h) {
			return n + 1
		}
	}
	return 0
}

// verdict returns what is the same in all verdicts of a door on a hit.
func (d *rules) verdict(o Outcome, h *Hit) Verdict {
	return Verdict{Outcome: o, Door: d.ID(), Steps: uint8(len(d.Sequence)), Step: uint8(d.stepOf(h.Proto, h.DstPort)), Timeout: d.Timeout}
}

func (x *explainer) say(v Verdict) { x.verdicts = append(x.verdicts, v) }

// each calls f with each door that has the hit's port, those with a step of port 0
// last.
func (x *explainer) each(h *Hit, doors []rules, f func(d *rules)) {
	for _, i := range x.users[Step{h.Proto, h.DstPort}] {
		f(&doors[i])
	}
	for _, i := range x.wild {
		d := &doors[i]
		if n := d.stepOf(h.Proto, h.DstPort); n > 0 && d.Sequence[n-1].Port == 0 {
			f(d)
		}
	}
}

// noteLapse remembers how an attempt ended, if somebody asks.
func (t *Tracker) noteLapse(src *source, d *rules, l Lapse, stage int, at int64) {
	if x := t.explainer; x != nil {
		*x.place(src, d.id) = lapsed{*src, d.id, l, uint8(stage), at}
	}
}

func (x *explainer) place(src *source, door int32) *lapsed {
	return &x.lapsed[(src.hash^uint32(door)*2654435761)%lapsedEntries]
}

// explainRest says what a hit was that did nothing to any door.
func (t *Tracker) explainRest(s *sighting, alive bool) {
	x := t.explainer
	done := len(x.verdicts) > 0
	if done && Foremost(x.verdicts) != Ended {
		return
	}
	s.src = t.attempts.sources.of(s.Src)
	x.each(s.Hit, t.doors, func(d *rules) {
		v := d.verdict(OutOfTurn, s.Hit)
		switch begins := d.takes(0, s.Hit); {
		case done && (!begins || !s.wentTo(d.Target) || !d.begins(s)):
			return
		case !s.wentTo(d.Target):
			v.Outcome, v.Target = Elsewhere, d.Target
		case !s.satisfies(d.Flags):
			v.Outcome, v.Asks = WrongFlags, d.Flags
		case !d.from.has(s.Src):
			v.Outcome = NotAllowed
		case !d.PacketLength.has(s.PayloadLen):
			v.Outcome, v.Lengths = WrongLength, d.PacketLength
		case begins && alive:
			v.Outcome = Held
		default:
			x.recall(&v, d, s)
		}
		x.say(v)
	})
	if len(x.verdicts) == 0 {
		x.say(Verdict{Outcome: NoStep})
	}
}

// recall adds what has become of the source's last attempt at the door.
func (x *explainer) recall(v *Verdict, d *rules, s *sighting) {
	if l := x.place(&s.src, d.id); l.lapse != 0 && l.src == s.src && l.door == d.id {
		v.Lapse, v.Stage, v.Since = l.lapse, l.stage, time.Duration(s.at-l.at)
	}
}

// explainJudged says what a hit was to an attempt of its source.
func (t *Tracker) explainJudged(a *attempt, d *rules, s *sighting, judged verdict) {
	v := d.verdict(LetPass, s.Hit)
	v.Stage, v.Age = a.stage, time.Duration(s.at-a.start)
	fits := d.PacketLength.has(s.PayloadLen)
	switch {
	case judged == step:
		v.Outcome, v.Step, v.Stage = Took, a.stage+1, a.stage+1
	case judged == failed:
		v.Outcome, v.Strict = Ended, d.Strict && !s.visible
		if of := t.owner(d, s.Hit); of != nil {
			v.Of = of.ID()
		}
	case !s.satisfies(d.Flags):
		if v.Step == 0 {
			return // others may have more to say
		}
		v.Outcome, v.Asks = WrongFlags, d.Flags
	case d.takes(int(a.stage), s.Hit) && !fits:
		v.Outcome, v.Step, v.Lengths = WrongLength, a.stage+1, d.PacketLength
	case d.ForgiveRepeats && d.again(a, s.Hit):
		v.Step = a.stage
	case d.Strict:
	default:
		return
	}
	t.explainer.say(v)
}

// explainRepeat says that a hit is a repeat, for each door that has its port.
func (t *Tracker) explainRepeat(h *Hit) {
	t.explainer.each(h, t.doors, func(d *rules) { t.explainer.say(d.verdict(Repeat, h)) })
	if len(t.explainer.verdicts) == 0 {
		t.explainer.say(Verdict{Outcome: Repeat})
	}
}

// coolingDown says that a door does nothing.
func (t *Tracker) coolingDown(d *rules, s *sighting) {
	v := d.verdict(CoolingDown, s.Hit)
	v.Left = time.Duration(t.cooldowns.until(d, s.Src) - s.at)
	t.explainer.say(v)
}

// ignored says that a source is ignored.
func (t *Tracker) ignored(h *Hit, at int64) {
	t.explainer.say(Verdict{
		Outcome: IgnoredSource, Left: time.Duration(t.failures.ignored.until[h.Src] - at), Failures: t.failures.limit.Count,
	})
}
