package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Writer writes stories for people.
type Writer struct {
	W         io.Writer
	Ports     *Ports // which ports are not shown
	ShowPorts bool   // all are shown all the same
	Door      string // whose verdicts are shown; "": those of all
	Zone      *time.Location

	wrote bool
}

// Story writes a story: its packets, what became of it, and what to do.
func (w *Writer) Story(s *Story) error {
	var b strings.Builder
	if w.wrote {
		b.WriteByte('\n')
	}
	w.wrote = true
	first := &s.Packets[0]
	fmt.Fprintf(&b, "%v to %v, %s\n", s.Source, first.Hit.Dst, first.At.In(w.Zone).Format("2006-01-02 15:04:05.000"))
	for i := 0; i < len(s.Packets); {
		if i == keepFirst && s.LeftOut > 0 {
			fmt.Fprintf(&b, "%12s  %s\n", "...", count(s.LeftOut, "packet"))
		}
		w.packet(&b, s, &s.Packets[i])
		i++
		if n := s.plain(i); n > 2 {
			fmt.Fprintf(&b, "%12s  %s to ports of no door\n", "...", count(n, "packet"))
			i += n
		}
	}
	if s.cut {
		b.WriteString("  (cut short: too many knock at once)\n")
	}
	fmt.Fprintf(&b, "  %s\n", s.Verdict)
	if s.Advice != "" {
		fmt.Fprintf(&b, "  hint: %s\n", s.Advice)
	}
	_, err := io.WriteString(w.W, b.String())
	return err
}

// plain returns how many packets follow each other that are no steps, and of which
// nothing else is known, up to where some are left out.
func (s *Story) plain(from int) (n int) {
	for i := from; i < len(s.Packets) && (i != keepFirst || s.LeftOut == 0); i++ {
		if p := &s.Packets[i]; p.Message != nil || p.Note != "" || p.Unheard != "" || knock.Foremost(p.Verdicts) != knock.NoStep {
			break
		}
		n++
	}
	return n
}

func (w *Writer) packet(b *strings.Builder, s *Story, p *Packet) {
	after := fmt.Sprintf("+%.3f s", max(p.At.Sub(s.begin()), 0).Seconds())
	for i, text := range p.texts(w.Door) {
		if p.Hit.Dst != s.Packets[0].Hit.Dst && !strings.Contains(text, p.Hit.Dst.String()) {
			text += fmt.Sprintf(" (to %v)", p.Hit.Dst)
		}
		if i == 0 {
			fmt.Fprintf(b, "%12s  %-9s  %s\n", after, w.name(p), text)
		} else {
			fmt.Fprintf(b, "%12s  %-9s  %s\n", "", "", text)
		}
	}
}

// name names the packet by its protocol and, unless it is a secret, its port.
func (w *Writer) name(p *Packet) string {
	if p.Hit.DstPort == 0 || !w.ShowPorts && p.secret(w.Ports) {
		return protocol(p.Hit.Proto)
	}
	return port(&p.Hit)
}

// secret reports whether the packet's port belongs to a sequence.
func (p *Packet) secret(ports *Ports) bool {
	for i := range p.Verdicts {
		if p.Verdicts[i].Step > 0 {
			return true
		}
	}
	switch {
	case p.hidden:
		return true
	case p.Message != nil:
		return false
	case ports != nil:
		return ports.Secret(&p.Hit)
	}
	// Who has not looked at the doors does not know.
	o := knock.Foremost(p.Verdicts)
	return p.Unheard != "" || o == knock.IPv6Hit || o == knock.IgnoredSource || o == knock.Repeat
}

// texts says what a packet was, a line each.
func (p *Packet) texts(door string) (texts []string) {
	switch {
	case p.said != "":
		return []string{p.said}
	case p.Message != nil:
		return []string{MessageWords(p.Message)}
	}
	for i := range p.Verdicts {
		v := &p.Verdicts[i]
		if door != "" && v.Door.Name != "" && v.Door.String() != door {
			continue
		}
		if v.Outcome == knock.NoStep && (p.Note != "" || p.Unheard != "") || v.Outcome == knock.Held && p.ended(v.Door) {
			continue
		}
		texts = append(texts, Words(&p.Hit, v))
	}
	if p.Note != "" {
		texts = append(texts, p.Note)
	}
	if p.Unheard != "" {
		texts = append(texts, "on "+p.Unheard+", where knockd does not listen")
	}
	if len(texts) == 0 {
		texts = append(texts, "nothing at "+door)
	}
	return texts
}

// ended reports whether the packet has ended an attempt at a door.
func (p *Packet) ended(door knock.DoorID) bool {
	return slices.ContainsFunc(p.Verdicts, func(v knock.Verdict) bool { return v.Outcome == knock.Ended && v.Door == door })
}

// Totals writes what was seen beside the stories, or that there was nothing. Where
// says where packets were looked for: "is in trace.pcap".
func (w *Writer) Totals(t *Teller, where string) error {
	text := strings.Join(t.rest(where), "\n")
	if text == "" {
		return nil
	}
	if w.wrote {
		text = "\n" + text
	}
	_, err := io.WriteString(w.W, text+"\n")
	return err
}

const missedText = "Packets that were not looked at, because too many came at once: %d."

// rest says in sentences what is not in a story.
func (t *Teller) rest(where string) (lines []string) {
	switch {
	case t.Packets == 0 && !t.o.Source.IsValid():
		return []string{fmt.Sprintf("No TCP or UDP packet %s.", where)}
	case t.o.Source.IsValid() && t.Mine == 0:
		return []string{fmt.Sprintf("No packet from %v %s: not sent, or dropped on the way before this host.%s", t.o.Source, where, ofOthers(t.Packets))}
	case t.o.Source.IsValid():
		if t.Missed > 0 {
			lines = append(lines, fmt.Sprintf(missedText, t.Missed))
		}
		return lines
	case t.Told == 0:
		lines = append(lines, "Nobody got further than a first hit.")
	}
	for _, c := range []struct {
		n    uint64
		text string
	}{
		{t.First, "First hits after which their source sent nothing more of use: %d."},
		{t.Strays, "Packets to ports of doors that are part of no knock: %d."},
		{t.Others, "Packets to other ports: %d."},
		{t.Missed, missedText},
		{t.Cut, "Stories cut short because too many went on at once: %d."},
	} {
		if c.n > 0 {
			lines = append(lines, fmt.Sprintf(c.text, c.n))
		}
	}
	return lines
}

func ofOthers(packets uint64) string {
	if packets == 0 {
		return ""
	}
	return fmt.Sprintf(" There are %d of others.", packets)
}
