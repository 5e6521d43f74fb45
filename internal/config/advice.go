package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"knockd/internal/knock"
)

// adviseDoor looks for what is allowed, and seldom meant.
func (p *parser) adviseDoor(d *rawDoor) {
	if strings.EqualFold(trim(d.Name), optionsName) {
		p.advise(d.fault("", fmt.Errorf("is a door: the section that holds for all of them is [options], in lower case")))
	}
	if d.SPA == nil {
		p.adviseFlags(d)
		p.adviseSequence(d)
		p.advisePace(d)
	}
	opens := d.OpensNatively() || d.Close != ""
	if d.has("cmd_timeout") && d.StopCommand == "" && d.StopCommand6 == "" && !opens {
		p.advise(d.fault("cmd_timeout", fmt.Errorf("nothing closes then: that takes a stop_command, or open")))
	}
	for _, file := range []struct{ key, value string }{{"one_time_sequences", d.OneTimeFile}, {spaKeyFile, d.keyFile()}} {
		if quoted(file.value) {
			p.advise(d.fault(file.key, fmt.Errorf("%s: %s", file.value, quotesStay)))
		}
	}
	for _, c := range d.commands() {
		if what := misread(c.text); d.has(c.key) && what != "" {
			p.advise(d.fault(c.key, fmt.Errorf("%s", what)))
		}
	}
}

func (d *rawDoor) keyFile() string {
	if d.SPA == nil {
		return ""
	}
	return d.SPA.KeyFile
}

func (d *rawDoor) hasTCP() bool {
	return slices.ContainsFunc(d.Sequence, func(s knock.Step) bool { return s.Proto == knock.TCP })
}

// opensAgain reports whether every packet of a connection opens the door.
func (d *rawDoor) opensAgain() bool {
	return len(d.Sequence) == 1 && d.hasTCP() && d.Cooldown == 0 && d.Flags.TakesEstablished()
}

// adviseFlags looks for doors that ordinary clients cannot open, or that open
// again and again.
func (p *parser) adviseFlags(d *rawDoor) {
	switch {
	case !d.hasTCP():
	case d.opensAgain():
		key := "sequence"
		if d.has("tcpflags") {
			key = "tcpflags"
		}
		p.advise(d.fault(key, fmt.Errorf("one step, whose flags every packet of a connection has, so that each opens the door again: say tcpflags = syn,!ack, and cooldown")))
	case d.Flags.Set&^knock.SYN != 0:
		p.advise(d.fault("tcpflags", fmt.Errorf("%v: no ordinary client sends it in a packet that begins a connection: say syn,!ack", d.Flags.Set&^knock.SYN)))
	case d.Flags.Clear&knock.SYN != 0:
		p.advise(d.fault("tcpflags", fmt.Errorf("!syn: no ordinary client begins a connection without it: say syn,!ack")))
	case d.Flags.TakesEstablished():
		p.advise(d.fault("tcpflags", fmt.Errorf("does not ask for syn: packets of connections that there are, those of this host's own among them, count as hits too: say syn,!ack")))
	}
}

// published are sequences of manuals, packages and well-known pages.
var published = [][]uint16{
	{7000, 8000, 9000}, {9000, 8000, 7000}, {2222, 3333, 4444}, {8881, 7777, 9991}, {1111, 2222, 3333}, {3333, 2222, 1111},
	{10001, 10002, 10003}, {10003, 10002, 10001}, {5040, 6010, 6500}, {4040, 5050, 8080}, {571, 290, 911}, {911, 290, 571},
}

// adviseSequence looks for sequences that others find: known ones, and those that
// a port scan takes. A single step with a cooldown is no secret, but the port of
// something that is to be woken.
func (p *parser) adviseSequence(d *rawDoor) {
	ports := make([]uint16, len(d.Sequence))
	for i, s := range d.Sequence {
		ports[i] = s.Port
	}
	n, what := len(ports), ""
	rises, falls := knock.ScanOrder(d.Sequence)
	switch {
	case slices.ContainsFunc(published, func(e []uint16) bool { return slices.Equal(e, ports) }):
		what = "is a published example, which is tried first: choose ports of your own"
	case n == 0 || d.Strict:
	case n == 1 && d.Cooldown == 0 && !d.opensAgain():
		what = "one step: any port scan opens the door; at least three are harder to find"
	case n == 2:
		what = "two steps: a scan of all ports in random order opens the door every second time; take more, or say strict = yes"
	case n > 2 && (rises || falls):
		what = "its ports only rise or only fall: a scan of all ports in this order opens the door; let them do both, or say strict = yes"
	}
	if what != "" {
		p.advise(d.fault("sequence", fmt.Errorf("%s", what)))
	}
}

// advisePace looks for a seq_timeout that leaves knock little more than the
// pauses that it makes.
func (p *parser) advisePace(d *rawDoor) {
	takes := time.Duration(max(0, len(d.Sequence)-1)) * knock.DefaultDelay
	if d.Timeout < 2*takes {
		p.advise(d.fault("seq_timeout", fmt.Errorf("%.0f s: knock takes %v for %d steps, and a slow path takes longer: say at least %.0f",
			d.Timeout.Seconds(), takes, len(d.Sequence), math.Ceil((2*takes).Seconds()))))
	}
}

// adviseSharedKnocks looks for doors that one knock opens together, or one on the
// way to the other. Of many, a door is compared with the latest few.
func (p *parser) adviseSharedKnocks() {
	const compared = 8
	seen := map[string][]*rawDoor{}
	for _, d := range p.doors {
		if len(d.Sequence) == 0 {
			continue
		}
		key := d.knock(len(d.Sequence))
		others := seen[key]
		if i := slices.IndexFunc(others, d.sharesKnock); i >= 0 {
			p.advise(d.fault("sequence", fmt.Errorf("is that of [%s] at %v too: one knock runs both doors, in no order that can be relied on", printable(others[i].Name), others[i].Place)))
		}
		seen[key] = append(others[max(0, len(others)-compared+1):], d)
	}
	for _, d := range p.doors {
		for n := 1; n < len(d.Sequence); n++ {
			others := seen[d.knock(n)]
			if i := slices.IndexFunc(others, d.sharesKnock); i >= 0 {
				p.advise(d.fault("sequence", fmt.Errorf("begins with that of [%s] at %v: a knock at this door opens that one on its way", printable(others[i].Name), others[i].Place)))
				break
			}
		}
	}
}

// knock returns a door's first steps as a text, with all else that says which
// packets they are.
func (d *rawDoor) knock(steps int) string {
	text := FormatSequence(d.Sequence[:steps])
	if d.Target.IsValid() || wildSteps(d.Sequence[:steps]) > 0 {
		text += fmt.Sprint(d.OpenPorts, d.Target)
	}
	return text
}

// sharesKnock reports whether a packet for one of two doors with the same steps
// can be for the other too.
func (d *rawDoor) sharesKnock(o *rawDoor) bool {
	contradict := d.Flags.Set&o.Flags.Clear != 0 || d.Flags.Clear&o.Flags.Set != 0
	return !(d.hasTCP() && contradict) && overlap(d.Allow, o.Allow)
}

// overlap reports whether an address can be in both lists, of which an empty one
// stands for all.
func overlap(a, b []netip.Prefix) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(p netip.Prefix) bool {
		return slices.ContainsFunc(b, p.Overlaps)
	})
}

const quotesStay = "the quotes belong to it, since there is no quoting"

// adviseOptions looks at [options].
func (p *parser) adviseOptions() {
	for _, o := range []struct{ key, value string }{
		{"logfile", p.config.LogFile}, {"pidfile", p.config.PidFile}, {"statedir", p.config.StateDir}, {"historyfile", p.config.HistoryFile},
	} {
		if place, ok := p.options.find(o.key); ok && quoted(o.value) {
			p.advise(&Fault{place, optionsName, o.key, fmt.Errorf("%s: %s", o.value, quotesStay)})
		}
	}
	place, _ := p.options.find("interface")
	for _, name := range p.config.Interfaces {
		if strings.ContainsAny(name, `"'`) {
			p.advise(&Fault{place, optionsName, "interface", fmt.Errorf("%s: %s", name, quotesStay)})
		}
	}
}
