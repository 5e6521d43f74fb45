package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// conclude finds the sentence that says what became of a story, and the one that
// says what to do.
func (s *Story) conclude(o Options) {
	d := s.foremost(o.Door)
	switch m := s.message; {
	case d != nil && !d.Opened.IsZero():
		s.Verdict, s.Advice = s.didOpen(d)
	case s.used != nil:
		s.Verdict = fmt.Sprintf("This is the sequence of line %d of %s for %v, which was used before.", s.used.Number, s.used.File, s.used.Door)
		s.Advice = "Each line opens once: knock the first one that is not used yet."
	case m != nil && m.Message.Outcome > spa.Untried:
		s.Verdict, s.Advice = messageSentences(m.Message)
	case s.ignored != nil:
		s.Verdict, s.Advice = ignoredSentences(s)
	case d != nil && d.fate != noAttempt:
		s.Verdict, s.Advice = s.didFail(d, o.Ports)
	case d != nil && d.live:
		s.Verdict = fmt.Sprintf("%v is at stage %d of %d, and its time is not over.", d.Door, d.stage, d.Steps)
	case d != nil && d.oddSeen:
		s.Verdict, s.Advice = oddSentences(d)
	case s.unheard == s.all:
		on := s.Packets[len(s.Packets)-1].Unheard
		s.Verdict = fmt.Sprintf("%s came from %v on %s, where knockd does not listen.", count(s.all, "packet"), s.Source, on)
		s.Advice = fmt.Sprintf("Knock at an address of an interface that knockd listens on, or add %s to Interface.", on)
	case onlyIPv6(s.Packets):
		s.Verdict, s.Advice = "The packets were IPv6, and knockd takes IPv4 alone (-4).", "Knock with IPv4 (knock -4)."
	default:
		s.Verdict = fmt.Sprintf("%s came from %v, and none to a port of a door.", count(s.all, "packet"), s.Source)
		s.Advice = "Compare the ports and the address that were knocked at with the configuration."
	}
}

func onlyIPv6(packets []Packet) bool {
	return !slices.ContainsFunc(packets, func(p Packet) bool { return knock.Foremost(p.Verdicts) != knock.IPv6Hit })
}

// foremost returns the visit that the story is about: the latest door that opened,
// else the one that got furthest.
func (s *Story) foremost(only string) (best *Visit) {
	for i := range s.Doors {
		d := &s.Doors[i]
		if only != "" && d.Door.String() != only {
			continue
		}
		switch {
		case best == nil, d.Opened.After(best.Opened):
			best = d
		case !best.Opened.IsZero():
		case d.best > best.best, d.best == best.best && d.odd.Outcome > best.odd.Outcome:
			best = d
		}
	}
	return best
}

func (s *Story) didOpen(d *Visit) (verdict, advice string) {
	who := s.Source
	if m := s.message; m != nil && m.Message.Outcome == spa.Opened && m.Message.Door == d.Door {
		who = m.Message.Grant.Addr
	}
	switch took := d.Opened.Sub(d.Began); {
	case d.refused != "":
		return fmt.Sprintf("The knock at %v was complete, and did not open it: %s.", d.Door, d.refused),
			"Close some of them, or let them close sooner (cmd_timeout)."
	case s.stranger != nil:
		h := &s.stranger.Hit
		return fmt.Sprintf("%v opened for %v alone, and %v tried to connect to %s %s later.",
				d.Door, who, h.Src, port(h), Span(s.stranger.At.Sub(d.Opened))),
			"If that is the same client, its address changed between knock and connection: keep both to one family (knock -4 or -6) and one way, or open for its neighbours too (open_prefix_4, open_prefix_6)."
	case d.Began.IsZero() || d.Steps <= 1:
		verdict = fmt.Sprintf("%v opened for %v%s.", d.Door, who, openFor(d.Open))
	default:
		verdict = fmt.Sprintf("%v opened for %v%s, %s after the first step.", d.Door, who, openFor(d.Open), Span(took))
	}
	if s.opening != nil && s.opening.connected {
		return verdict, ""
	}
	return verdict, fmt.Sprintf("If it still cannot be reached, connect from %v; then see what the door ran (knockd's log) and what else the firewall does (knockctl check).", who)
}

func openFor(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " for " + Span(d)
}

func refusal(r *event.Refused) string {
	return fmt.Sprintf("%d openings are held already, %d of this door", r.Held, r.OfDoor)
}

func messageSentences(v *spa.Verdict) (verdict, advice string) {
	door := ""
	if v.Door.Name != "" {
		door = " for " + v.Door.String()
	}
	who := "the client"
	if v.Client != "" {
		who = v.Client
	}
	switch v.Outcome {
	case spa.Untimely:
		way, off := "behind", v.Late
		if off < 0 {
			way, off = "ahead of", -off
		}
		return fmt.Sprintf("The SPA message%s was made with the right key, by a clock that is %s %s this host's.", door, Span(off), way),
			"Set both clocks (NTP); an old message that somebody sends again looks the same. spa_max_age says how much is borne."
	case spa.Replay:
		return fmt.Sprintf("The SPA message%s was used before, and opens once only.", door),
			fmt.Sprintf("Have %s make a new one. If it did, somebody on the way has sent this one again.", who)
	case spa.Unknown:
		return "The SPA message was made with no key of this host.",
			"Compare the client's key and HMAC key with the door's spa_key_file, and the HMAC's type (spa_hmac)."
	case spa.Faulty:
		return fmt.Sprintf("The SPA message%s was made with the right key, and holds what it should not: %s.", door, v.Reason),
			"Look at the client's options."
	case spa.Denied:
		return fmt.Sprintf("The SPA message%s was made with the right key, and is refused: %s.", door, v.Reason),
			"Ask for what the door allows, or have the door allow it."
	case spa.StoreFault:
		return fmt.Sprintf("The SPA message%s opened nothing: %s.", door, v.Reason), "See to the disk that StateDir is on."
	}
	return MessageWords(v) + ".", ""
}

func ignoredSentences(s *Story) (verdict, advice string) {
	for _, v := range s.ignored.Verdicts {
		if v.Outcome == knock.IgnoredSource {
			return fmt.Sprintf("%v is ignored for another %s, after %s.", s.Source, Span(v.Left), count(v.Failures, "failed attempt")),
				"Wait until that is over. max_failures sets the limit, and never_ignore spares an address."
		}
	}
	return "", ""
}

// didFail is for an attempt that is over.
func (s *Story) didFail(d *Visit, ports *Ports) (verdict, advice string) {
	v, shut := &d.ended, fmt.Sprintf("%v stayed shut: ", d.Door)
	next := ordinal(d.stage + 1)
	switch {
	case d.fate == late:
		return shut + fmt.Sprintf("its %s step came %s too late.", next, Span(v.Since)),
			fmt.Sprintf("Knock faster (knock --delay), or raise seq_timeout, which is %s.", Span(d.Timeout))
	case d.fate == expired && !s.until.IsZero() && s.until.Before(d.deadline()):
		return shut + fmt.Sprintf("its %s step is missing.", next),
			"It was not sent, was lost on the way, or came later than what is known: compare with what was sent (knock --explain)."
	case d.fate == expired:
		return shut + fmt.Sprintf("its %s step did not come within %s of the first.", next, Span(d.Timeout)),
			"Compare with what was sent (knock --explain): it was not sent, was lost on the way, or came from another address. seq_timeout says how long there is."
	case v.Step > 0 && v.Step == v.Stage:
		return shut + fmt.Sprintf("its %s step came twice.", ordinal(int(v.Step))),
			"Send each step once, or let the door bear it (repeats = forgive)."
	case v.Step == 1:
		return shut + fmt.Sprintf("its first step came again where the %s was expected, and a packet that ends an attempt begins none.", next),
			"Knock once more from the first step: it works at once."
	case v.Step > 0:
		return shut + fmt.Sprintf("its %s step came where the %s was expected.", ordinal(int(v.Step)), next),
			fmt.Sprintf("Knock in the order of the sequence. If that was done, the %s step was lost or overtaken on the way: knock more slowly (knock --delay 200).", next)
	case v.Of.Name != "":
		return shut + fmt.Sprintf("a packet to a port of %v came where its %s step was expected.", v.Of, next),
			"Knock at one door after the other, from one address."
	case ports.Secret(&d.endedBy.Hit) || d.endedBy.Hit.DstPort == 0:
		return shut + fmt.Sprintf("a packet to another port came where its %s step was expected, and the door is strict.", next),
			"Send this host nothing else while knocking."
	}
	h := &d.endedBy.Hit
	return shut + fmt.Sprintf("a packet to %s came where its %s step was expected, and the door is strict.", port(h), next),
		fmt.Sprintf("Send this host nothing else while knocking, such as a scan, or let it pass (strict_ignore = %s).", port(h))
}

// port names a port as the configuration does.
func port(h *knock.Hit) string { return step(h).Ports().String() }

// oddSentences is for packets that began no attempt.
func oddSentences(d *Visit) (verdict, advice string) {
	v, h := &d.odd, &d.oddBy.Hit
	switch v.Outcome {
	case knock.CoolingDown:
		return fmt.Sprintf("%v has opened already, and does nothing for another %s.", d.Door, Span(v.Left)), "Wait until that is over: cooldown says how long it is."
	case knock.Repeat:
		return "Only repeats came of packets that had taken a step: they do nothing.", "Knock anew."
	case knock.WrongLength:
		return fmt.Sprintf("The packets had a payload of %s, and %v asks for %s.", count(h.PayloadLen, "octet"), d.Door, lengths(v.Lengths)),
			"Send what packet_length asks for, or change it."
	case knock.NotAllowed:
		return fmt.Sprintf("%v may not knock at %v.", h.Src, d.Door), "The keys allow and deny of the door say who may."
	case knock.WrongFlags:
		return fmt.Sprintf("The packets had the flags %s, and %v asks for %s.", letters(h.Flags), d.Door, asked(v.Asks)),
			"Use " + otherFlags(h, v.Asks) + "."
	case knock.Elsewhere:
		if v.Target.IsValid() {
			return fmt.Sprintf("The packets went to %v, and %v watches %v.", h.Dst, d.Door, v.Target), "Knock there, or change target."
		}
		return fmt.Sprintf("The packets went to %v, which is not an address that knockd listens at.", h.Dst),
			"Knock at an address of an interface that Interface names, or name another there (any: all of the host)."
	case knock.Held:
		return fmt.Sprintf("%v stayed shut: its first step came while an attempt at another door was under way, and so began none.", d.Door),
			"Knock at one door after the other, from one address."
	case knock.OutOfTurn:
		switch v.Lapse {
		case knock.LapseEvicted:
			return fmt.Sprintf("%v stayed shut: the attempt had to make room for others.", d.Door), "Raise MaxAttempts."
		case knock.LapseOpened:
			return fmt.Sprintf("%v had opened %s before, and this was no new knock.", d.Door, Span(v.Since)), "Begin with the first step."
		case knock.LapseFailed, knock.LapseExpired:
			return fmt.Sprintf("%v stayed shut: the attempt was over when its %s step came.", d.Door, ordinal(int(v.Step))), "Begin with the first step."
		}
		return fmt.Sprintf("%v stayed shut: its %s step came without the first.", d.Door, ordinal(int(v.Step))),
			"Begin with the first step. If it was sent, it was lost on the way, or came from another address."
	}
	text := Words(h, v)
	return strings.ToUpper(text[:1]) + text[1:] + ".", ""
}
