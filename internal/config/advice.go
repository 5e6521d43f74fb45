package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// adviseDoor looks for what is allowed, and seldom meant.
func (p *parser) adviseDoor(d *rawDoor) {
	if strings.EqualFold(trim(d.Name), optionsName) {
		p.advise(d.fault("", fmt.Errorf("is a door: the section that holds for all of them is [options], in lower case")))
	}
	if d.SPA == nil {
		p.adviseFlags(d)
		p.adviseExample(d)
	}
	opens := d.OpensPorts() || len(d.Actions) > 0 || d.Close != ""
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

// adviseFlags looks for doors that ordinary clients cannot open, or that open
// again and again.
func (p *parser) adviseFlags(d *rawDoor) {
	tcp := slices.ContainsFunc(d.Sequence, func(s knock.Step) bool { return s.Proto == knock.TCP })
	again := len(d.Sequence) == 1 && d.Cooldown == 0 && takesEstablished(d.Flags)
	switch {
	case !tcp:
	case again:
		key := "sequence"
		if d.has("tcpflags") {
			key = "tcpflags"
		}
		p.advise(d.fault(key, fmt.Errorf("one step, whose flags every packet of a connection has, so that each opens the door again: say tcpflags = syn,!ack, and cooldown")))
	case d.Flags.Set&knock.ACK != 0:
		p.advise(d.fault("tcpflags", fmt.Errorf("ack: no ordinary client sends it in a packet that begins a connection: say syn,!ack")))
	}
}

// published are sequences of manuals, packages and well-known pages.
var published = [][]uint16{
	{7000, 8000, 9000}, {9000, 8000, 7000}, {2222, 3333, 4444}, {8881, 7777, 9991}, {1111, 2222, 3333}, {3333, 2222, 1111},
	{10001, 10002, 10003}, {10003, 10002, 10001}, {5040, 6010, 6500}, {4040, 5050, 8080}, {571, 290, 911}, {911, 290, 571},
}

func (p *parser) adviseExample(d *rawDoor) {
	ports := make([]uint16, len(d.Sequence))
	for i, s := range d.Sequence {
		ports[i] = s.Port
	}
	if slices.ContainsFunc(published, func(e []uint16) bool { return slices.Equal(e, ports) }) {
		p.advise(d.fault("sequence", fmt.Errorf("is a published example, which is tried first: choose ports of your own")))
	}
}

// adviseTwins looks for doors that one knock opens together. Of many, a door
// is compared with the latest few.
func (p *parser) adviseTwins() {
	const compared = 8
	seen := map[string][]*rawDoor{}
	for _, d := range p.doors {
		if len(d.Sequence) == 0 {
			continue
		}
		knock := FormatSequence(d.Sequence)
		if len(d.OpenPorts) > 0 || d.Target.IsValid() {
			knock += fmt.Sprint(d.OpenPorts, d.Target)
		}
		others := seen[knock]
		if i := slices.IndexFunc(others, d.sharesKnock); i >= 0 {
			p.advise(d.fault("sequence", fmt.Errorf("is that of [%s] at %v too: one knock runs both doors, in no order that can be relied on", printable(others[i].Name), others[i].Place)))
		}
		seen[knock] = append(others[max(0, len(others)-compared+1):], d)
	}
}

// sharesKnock reports whether a packet for one of two doors with the same steps
// can be for the other too.
func (d *rawDoor) sharesKnock(o *rawDoor) bool {
	contradict := d.Flags.Set&o.Flags.Clear != 0 || d.Flags.Clear&o.Flags.Set != 0
	tcp := slices.ContainsFunc(d.Sequence, func(s knock.Step) bool { return s.Proto == knock.TCP })
	return !(tcp && contradict) && overlap(d.Allow, o.Allow)
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
		{"logfile", p.config.LogFile}, {"pidfile", p.config.PidFile}, {"statedir", p.config.StateDir},
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
