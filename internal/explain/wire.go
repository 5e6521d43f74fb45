package explain

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// outcomes are the kinds of verdicts as the control socket names them, but for
// those that depend on more than the outcome.
var outcomes = [...]control.VerdictKind{
	knock.NoStep: control.VerdictNoStep, knock.IPv6Hit: control.VerdictIPv6, knock.Elsewhere: control.VerdictElsewhere,
	knock.WrongFlags: control.VerdictWrongFlags, knock.NotAllowed: control.VerdictNotAllowed, knock.WrongLength: control.VerdictWrongLength,
	knock.IgnoredSource: control.VerdictIgnored, knock.Repeat: control.VerdictRepeat, knock.CoolingDown: control.VerdictCoolingDown,
	knock.OutOfTurn: control.VerdictOutOfTurn, knock.Held: control.VerdictHeld, knock.LetPass: control.VerdictLetPass,
	knock.Ended: control.VerdictFailed, knock.Took: control.VerdictStep,
}

var lapses = [...]string{
	knock.LapseExpired: control.LapseExpired, knock.LapseFailed: control.LapseFailed,
	knock.LapseEvicted: control.LapseEvicted, knock.LapseOpened: control.LapseOpened,
}

var refusals = [...]string{
	spa.Junk: control.RefusalJunk, spa.Untried: control.RefusalUntried, spa.Unknown: control.RefusalUnknown,
	spa.Faulty: control.RefusalFaulty, spa.Untimely: control.RefusalUntimely, spa.Replay: control.RefusalReplay,
	spa.StoreFault: control.RefusalStoreFault, spa.Denied: control.RefusalDenied, spa.Opened: "",
}

// Wire returns a packet as the control socket and JSON have it. Its port is absent
// if it is a secret, unless all are shown.
func (p *Packet) Wire(ports *Ports, showPorts bool) control.Packet {
	h := &p.Hit
	w := control.Packet{
		At: p.At, Protocol: protocol(h.Proto), Source: h.Src, SourcePort: h.SrcPort, Destination: h.Dst,
		Length: h.PayloadLen, Verdicts: []control.Verdict{}, Note: p.Note,
	}
	if p.Unheard != "" {
		w.Note = strings.TrimPrefix(w.Note+"; on "+p.Unheard+", where knockd does not listen", "; ")
	}
	if showPorts || !p.secret(ports) {
		w.Port = h.DstPort
	}
	if h.Proto == knock.TCP {
		seq := h.Seq
		w.Flags, w.SequenceNumber = h.Flags.String(), &seq
	}
	for i := range p.Verdicts {
		w.Verdicts = append(w.Verdicts, wire(h, &p.Verdicts[i]))
	}
	if p.Message != nil {
		w.Verdicts = append(w.Verdicts, wireMessage(p.Message))
	}
	return w
}

const icmp = 1 // IANA "Assigned Internet Protocol Numbers"

func protocol(p knock.Protocol) string {
	if p == icmp {
		return "icmp"
	}
	return p.String()
}

func wire(h *knock.Hit, v *knock.Verdict) control.Verdict {
	w := control.Verdict{
		Kind: outcomes[v.Outcome], Text: Words(h, v), Door: v.Door.String(),
		Step: int(v.Step), Stage: int(v.Stage), Stages: int(v.Steps), Strict: v.Strict, Of: v.Of.String(),
		Age: control.Seconds(v.Age), Timeout: control.Seconds(v.Timeout), Seconds: control.Seconds(v.Left + v.Since), Failures: v.Failures,
	}
	if v.Lapse != 0 {
		w.Lapse = lapses[v.Lapse]
	}
	switch {
	case v.Opens():
		w.Kind = control.VerdictOpens
	case v.Late():
		w.Kind = control.VerdictLate
	case v.Outcome == knock.WrongFlags:
		w.Asks = v.Asks.String()
	case v.Outcome == knock.WrongLength:
		w.Asks = v.Lengths.String()
	case v.Outcome == knock.Elsewhere && v.Target.IsValid():
		w.Asks = v.Target.String()
	}
	return w
}

func wireMessage(v *spa.Verdict) control.Verdict {
	w := control.Verdict{
		Kind: control.VerdictMessageRefused, Text: MessageWords(v), Door: v.Door.String(), Client: v.Client,
		Refusal: refusals[v.Outcome], Seconds: control.Seconds(v.Late),
	}
	if v.Outcome == spa.Opened {
		w.Kind = control.VerdictMessageAccepted
	}
	return w
}

// FromWire returns a packet that came through the control socket. Of a verdict that
// is not known, its words are taken.
func FromWire(w *control.Packet) Packet {
	h := knock.Hit{Src: w.Source.WithZone(""), Dst: w.Destination.WithZone(""), SrcPort: w.SourcePort, DstPort: w.Port, Flags: flags(w.Flags), PayloadLen: w.Length}
	for _, proto := range []knock.Protocol{knock.TCP, knock.UDP, icmp} {
		if protocol(proto) == w.Protocol {
			h.Proto = proto
		}
	}
	if w.SequenceNumber != nil {
		h.Seq = *w.SequenceNumber
	}
	p := Packet{At: w.At, Hit: h, Note: cli.Printable(w.Note), hidden: w.Port == 0}
	for i := range w.Verdicts {
		p.fromWire(&w.Verdicts[i])
	}
	if len(p.Verdicts) == 0 && p.Message == nil {
		p.Verdicts = []knock.Verdict{{Outcome: knock.NoStep}}
	}
	return p
}

func (p *Packet) fromWire(w *control.Verdict) {
	switch w.Kind {
	case control.VerdictMessageAccepted, control.VerdictMessageRefused:
		m := &spa.Verdict{Outcome: spa.Opened, Src: p.Hit.Src, Dst: p.Hit.Dst, Door: doorID(w.Door), Client: cli.Printable(w.Client),
			Late: time.Duration(w.Seconds), Grant: spa.Grant{Addr: p.Hit.Src}}
		for o, word := range refusals {
			if word == w.Refusal {
				m.Outcome = spa.Outcome(o)
			}
		}
		p.Message, p.said = m, cli.Printable(w.Text)
		return
	}
	v := knock.Verdict{Door: doorID(w.Door), Step: uint8(w.Step), Stage: uint8(w.Stage), Steps: uint8(w.Stages), Of: doorID(w.Of),
		Strict: w.Strict, Age: time.Duration(w.Age), Timeout: time.Duration(w.Timeout), Failures: w.Failures}
	kind := w.Kind
	switch kind {
	case control.VerdictOpens:
		kind = control.VerdictStep
	case control.VerdictLate:
		kind = control.VerdictOutOfTurn
	}
	known := false
	for o, k := range outcomes {
		if k == kind {
			v.Outcome, known = knock.Outcome(o), true
		}
	}
	if !known {
		p.Note = strings.TrimPrefix(p.Note+"; "+cli.Printable(w.Text), "; ")
		return
	}
	for l, word := range lapses {
		if word == w.Lapse {
			v.Lapse = knock.Lapse(l)
		}
	}
	switch v.Outcome {
	case knock.WrongFlags:
		v.Asks = flagMatch(w.Asks)
	case knock.WrongLength:
		_, _ = fmt.Sscanf(w.Asks, "%d-%d", &v.Lengths.Min, &v.Lengths.Max)
	case knock.Elsewhere:
		v.Target, _ = netip.ParseAddr(w.Asks)
	case knock.OutOfTurn:
		v.Since = time.Duration(w.Seconds)
	default:
		v.Left = time.Duration(w.Seconds)
	}
	p.Verdicts = append(p.Verdicts, v)
}

// doorID is a door by its name alone: "ssh#2" says the same as an ID.
func doorID(name string) knock.DoorID { return knock.DoorID{Name: cli.Printable(name)} }

func flags(text string) (f knock.Flags) { return flagMatch(text).Set }

func flagMatch(text string) (m knock.FlagMatch) {
	for name := range strings.SplitSeq(text, ",") {
		bare, clear := strings.CutPrefix(name, "!")
		if f, ok := knock.ParseFlag(bare); ok {
			m = m.Add(f, !clear)
		}
	}
	return m
}
