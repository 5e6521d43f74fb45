package check

import (
	"fmt"
	"slices"
	"strings"

	"knockd/internal/config"
)

// command is one that a door runs, with what is known of it.
type command struct {
	key     string // of the configuration, where its text stands
	script  *script
	effects []effect
}

// commands are those of a door: for IPv4 addresses, and for IPv6 ones, which may
// be the same. Nil is one that is not there, or that nobody can read.
type commands struct{ start, stop, start6, stop6 *command }

// commandsOf reads the commands of a door. What /bin/sh cannot read is said.
func commandsOf(conf *config.Config, d *config.Door) (c commands, advice []Finding) {
	read := func(key, text string) *command {
		if text == "" {
			return nil
		}
		s, err := parseScript(text)
		if err != nil {
			advice = append(advice, adviseOn(conf, d, key, "the shell cannot read it: %v", err))
			return nil
		}
		c := &command{key: key, script: s}
		for _, call := range s.calls {
			if e, ok := effectOf(call); ok {
				c.effects = append(c.effects, e)
			}
		}
		return c
	}
	c.start, c.stop = read("start_command", d.StartCommand), read("stop_command", d.StopCommand)
	c.start6, c.stop6 = c.start, c.stop
	if d.StartCommand6 != d.StartCommand {
		c.start6 = read("start_command_6", d.StartCommand6)
	}
	if d.StopCommand6 != d.StopCommand {
		c.stop6 = read("stop_command_6", d.StopCommand6)
	}
	return c, advice
}

// readCommands reads the commands of all doors, and says which no shell can read.
func readCommands(conf *config.Config) (all []commands, unread []Finding) {
	for _, d := range conf.Doors {
		c, advice := commandsOf(conf, d)
		all = append(all, c)
		unread = append(unread, advice...)
	}
	return all, unread
}

// each returns the commands that there are, each once.
func (c commands) each() (list []*command) {
	for _, one := range []*command{c.start, c.stop, c.start6, c.stop6} {
		if one != nil && !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// pairs says which doors nothing closes, and which stop commands take away
// something else than what the start command has added.
func pairs(conf *config.Config, all []commands) (advice []Finding) {
	others := closers{conf: conf, doors: map[string]bool{}, effects: map[string]bool{}}
	for i, d := range conf.Doors {
		others.add(d, all[i])
	}
	for i, d := range conf.Doors {
		c := all[i]
		advice = append(advice, others.pair(d, c.start, c.stop, "stop_command", d.StopCommand != "")...)
		if c.start6 != c.start || c.stop6 != c.stop {
			advice = append(advice, others.pair(d, c.start6, c.stop6, "stop_command_6", d.StopCommand6 != "")...)
		}
	}
	return slices.CompactFunc(advice, func(a, b Finding) bool { return a == b })
}

// closers are the doors that close others: those that close names, and the
// effects that the start command of some door takes away.
type closers struct {
	conf           *config.Config
	doors, effects map[string]bool
}

func (x closers) add(d *config.Door, c commands) {
	x.doors[d.Close] = true
	for _, start := range []*command{c.start, c.start6} {
		if start == nil {
			continue
		}
		for _, e := range start.effects {
			if e.undo {
				x.effects[e.id()] = true
			}
		}
	}
}

// id is the same for two effects that are about the same.
func (e effect) id() string { return e.tool + "\x00" + strings.Join(e.what, "\x00") }

// pair looks at a start command and the stop command that belongs to it, which
// stands at a key, or would.
func (x closers) pair(d *config.Door, start, stop *command, stopKey string, hasStop bool) (advice []Finding) {
	if start == nil {
		return nil
	}
	for _, added := range start.effects {
		say := fmt.Sprintf("say %s = %s", stopKey, shellText(added.inverse))
		if added.inverse == nil && added.tool == "nft" {
			say = "a rule can only be deleted by its handle; let it add an element to a set, or say open in its place"
		} else if added.inverse == nil {
			say = "say a " + stopKey + " that does"
		}
		undoes := func(e effect) bool { return e.undoes(added) }
		undoesSome := func(e effect) bool { return e.undo && e.tool == added.tool }
		switch {
		case added.undo:
		case !hasStop && !added.ends && !x.doors[d.Name] && !x.effects[added.id()]:
			advice = append(advice, adviseOn(x.conf, d, start.key, "nothing takes away again what it adds: %s", say))
		case stop == nil || len(stop.effects) == 0 || added.inverse == nil: // a script of one's own may know
		case slices.ContainsFunc(stop.effects, undoes):
		case stop.key != stopKey && start.key != "start_command":
			advice = append(advice, adviseOn(x.conf, d, start.key, "%s, which runs for it too, does not take away what it adds: %s", stop.key, say))
		case slices.ContainsFunc(stop.effects, undoesSome):
			advice = append(advice, adviseOn(x.conf, d, stop.key, "is not the inverse of %s%s: %s", start.key, difference(added, stop.effects), say))
		case slices.ContainsFunc(stop.effects, func(e effect) bool { return e.undo }):
			advice = append(advice, adviseOn(x.conf, d, stop.key, "takes away only a part of what %s adds: let it run %s too", start.key, shellText(added.inverse)))
		default:
			advice = append(advice, adviseOn(x.conf, d, stop.key, "takes nothing away of what %s adds: %s", start.key, say))
		}
	}
	return advice
}

// difference says what a rule that is taken away has, and the one that was added
// has not, and the other way round. Of several that are taken away it is the one
// that is most like it.
func difference(added effect, stop []effect) string {
	var have, lack []string
	for _, e := range stop {
		if !e.undo || e.tool != added.tool {
			continue
		}
		has, lacks := without(e.what, added.what), without(added.what, e.what)
		if have == nil && lack == nil || len(has)+len(lacks) < len(have)+len(lack) {
			have, lack = has, lacks
		}
	}
	switch {
	case lack == nil:
		return fmt.Sprintf(", which has no %s", strings.Join(have, ", "))
	case have == nil:
		return fmt.Sprintf(", since it has no %s", strings.Join(lack, ", "))
	}
	return fmt.Sprintf(", since it has %s and not %s", strings.Join(have, ", "), strings.Join(lack, ", "))
}

// without returns what is in a and not in b.
func without(a, b []string) (rest []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			rest = append(rest, x)
		}
	}
	return rest
}

// shellText writes words for the shell, with quotes where they need them.
func shellText(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n;&|<>()$`\\\"'*?[]#~!") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
