package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Words says what a hit was, in knockd's words. They hold no port.
func Words(hit *knock.Hit, v *knock.Verdict) string {
	switch v.Outcome {
	case knock.Took:
		if v.Opens() {
			return fmt.Sprintf("%s: %v opens", stepAt(v), v.Door)
		}
		return stepAt(v)
	case knock.Ended:
		return endedWords(v)
	case knock.LetPass:
		if v.Step > 0 && v.Step == v.Stage {
			return stepAt(v) + " again, forgiven"
		}
		return fmt.Sprintf("let pass by %v (strict_ignore)", v.Door)
	case knock.Held:
		return fmt.Sprintf("%s, but an attempt does not begin with a packet that another one got", stepAt(v))
	case knock.OutOfTurn:
		return outOfTurnWords(v)
	case knock.CoolingDown:
		return fmt.Sprintf("%s, which has opened and does nothing for %s", stepAt(v), Span(v.Left))
	case knock.Repeat:
		return "a repeat of the packet before"
	case knock.IgnoredSource:
		return fmt.Sprintf("ignored for %s after %s", Span(v.Left), count(v.Failures, "failure"))
	case knock.WrongLength:
		return fmt.Sprintf("%s, but a payload of %s, the door asks for %s", stepAt(v), count(hit.PayloadLen, "octet"), lengths(v.Lengths))
	case knock.NotAllowed:
		return stepAt(v) + ": source not allowed"
	case knock.WrongFlags:
		text := fmt.Sprintf("%s, but flags %s, the door asks for %s", stepAt(v), letters(hit.Flags), asked(v.Asks))
		if laterPacket(hit) {
			return text
		}
		return text + ": use " + otherFlags(hit, v.Asks)
	case knock.Elsewhere:
		if v.Target.IsValid() {
			return fmt.Sprintf("%s, but sent to %v, the door watches %v", stepAt(v), hit.Dst, v.Target)
		}
		return fmt.Sprintf("%s, but sent to %v, not an address of this host", stepAt(v), hit.Dst)
	case knock.IPv6Hit:
		return "IPv6, and knockd takes IPv4 alone (-4)"
	}
	return "no step of a door"
}

// stepAt names a step: "step 2 of 3 at ssh".
func stepAt(v *knock.Verdict) string {
	if v.Step == 0 {
		return fmt.Sprintf("at %v", v.Door)
	}
	return fmt.Sprintf("step %d of %d at %v", v.Step, v.Steps, v.Door)
}

func endedWords(v *knock.Verdict) string {
	next := ordinal(int(v.Stage) + 1)
	switch {
	case v.Step > 0 && v.Step == v.Stage:
		return fmt.Sprintf("%s again: %v expected its %s step, and the attempt is over", stepAt(v), v.Door, next)
	case v.Step > 0:
		return fmt.Sprintf("%s: wrong order, %v expected its %s step, and the attempt is over", stepAt(v), v.Door, next)
	case v.Strict:
		return fmt.Sprintf("wrong port: %v expected its %s step and is strict, the attempt is over", v.Door, next)
	case v.Of.Name != "":
		return fmt.Sprintf("wrong port, one of %v: %v expected its %s step, and the attempt is over", v.Of, v.Door, next)
	}
	return fmt.Sprintf("wrong port: %v expected its %s step, and the attempt is over", v.Door, next)
}

func outOfTurnWords(v *knock.Verdict) string {
	switch {
	case v.Late():
		return fmt.Sprintf("%s, too late by %s", stepAt(v), Span(v.Since))
	case v.Lapse == knock.LapseExpired:
		return fmt.Sprintf("%s, whose time was over %s before", stepAt(v), Span(v.Since))
	case v.Lapse == knock.LapseFailed:
		return fmt.Sprintf("%s, after its attempt had failed", stepAt(v))
	case v.Lapse == knock.LapseEvicted:
		return fmt.Sprintf("%s, whose attempt had made room for others (MaxAttempts)", stepAt(v))
	case v.Lapse == knock.LapseOpened:
		return fmt.Sprintf("%s, which had opened %s before", stepAt(v), Span(v.Since))
	}
	return stepAt(v) + " without the first"
}

// MessageWords says what a packet was to the doors with keys.
func MessageWords(v *spa.Verdict) string {
	text := messageWords(v)
	if v.Client != "" {
		text += " (client " + v.Client + ")"
	}
	return text
}

func messageWords(v *spa.Verdict) string {
	const key = "SPA: key right"
	switch v.Outcome {
	case spa.Opened:
		return fmt.Sprintf("%s, %v opens", key, v.Door)
	case spa.Untimely:
		if v.Late < 0 {
			return fmt.Sprintf("%s, clock %s ahead", key, Span(-v.Late))
		}
		return fmt.Sprintf("%s, clock %s off", key, Span(v.Late))
	case spa.Replay:
		return key + ", but the message was used before"
	case spa.Faulty, spa.Denied:
		return fmt.Sprintf("%s, but refused: %s", key, v.Reason)
	case spa.StoreFault:
		return fmt.Sprintf("%s, but %s", key, v.Reason)
	case spa.Unknown:
		return "SPA: " + v.Reason
	case spa.Untried:
		return "SPA: not looked at, it came with too many others"
	}
	return "no SPA message: " + v.Reason
}

// Span is a length of time as people say it: "2.1 s", "42 s", "5 min".
func Span(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < 10*time.Minute:
		return strconv.FormatFloat(d.Round(time.Second).Seconds(), 'f', -1, 64) + " s"
	case d < 10*time.Hour:
		return strconv.FormatFloat(d.Round(time.Minute).Minutes(), 'f', -1, 64) + " min"
	}
	return strconv.FormatFloat(d.Round(time.Hour).Hours(), 'f', -1, 64) + " h"
}

var ordinals = [...]string{"", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"}

func ordinal(n int) string {
	if n < len(ordinals) {
		return ordinals[n]
	}
	suffix := "th"
	if n/10 != 1 && n%10 < 4 {
		suffix = [...]string{"th", "st", "nd", "rd"}[n%10]
	}
	return strconv.Itoa(n) + suffix
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func lengths(l knock.Lengths) string {
	if l.Max == 0 {
		return fmt.Sprintf("at least %d", l.Min)
	}
	if l.Max == l.Min {
		return fmt.Sprint(l.Min)
	}
	return fmt.Sprintf("%d to %d", l.Min, l.Max)
}

// flagLetters is in the order in which tcpdump writes flags.
var flagLetters = [...]struct {
	flag   knock.Flags
	letter byte
}{{knock.FIN, 'F'}, {knock.SYN, 'S'}, {knock.RST, 'R'}, {knock.PSH, 'P'}, {knock.ACK, 'A'}, {knock.URG, 'U'}}

// letters is flags in short: "SA".
func letters(f knock.Flags) string {
	var b strings.Builder
	for _, l := range flagLetters {
		if f&l.flag != 0 {
			b.WriteByte(l.letter)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// asked is what a door asks for, in short: "SA without R".
func asked(m knock.FlagMatch) string {
	if m.Clear == 0 {
		return letters(m.Set)
	}
	if m.Set == 0 {
		return "none of " + letters(m.Clear)
	}
	return letters(m.Set) + " without " + letters(m.Clear)
}

// laterPacket reports whether a packet is one of a connection that is under way,
// and nobody's knock.
func laterPacket(hit *knock.Hit) bool {
	return hit.Proto == knock.TCP && hit.Flags&knock.SYN == 0 && hit.Flags&(knock.ACK|knock.RST) != 0
}

// otherFlags says how a packet and a door come together.
func otherFlags(hit *knock.Hit, m knock.FlagMatch) string {
	send := "knock --flags " + m.Set.String()
	switch m.Set {
	case 0:
		send = "other packets"
	case knock.SYN:
		send = "knock without --flags"
	}
	if hit.Flags == 0 || laterPacket(hit) {
		return send
	}
	return fmt.Sprintf("tcpflags = %v or %s", hit.Flags, send)
}
