package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"knockd/internal/knock"
)

// rawDoor is a door while it is read. It remembers which keys were given,
// since an empty command is not a missing one.
type rawDoor struct {
	*Door
	given keyPlaces
	spa   *SPA // nil until a key asks for it; becomes the door's if it has a key file
}

// keyPlaces says where each key stands, by its first name.
type keyPlaces []struct {
	name  string
	place Place
}

func (p keyPlaces) find(name string) (Place, bool) {
	for _, k := range p {
		if k.name == name {
			return k.place, true
		}
	}
	return Place{}, false
}

// set notes the latest place of a key.
func (p *keyPlaces) set(name string, place Place) {
	for i := range *p {
		if (*p)[i].name == name {
			(*p)[i].place = place
			return
		}
	}
	*p = append(*p, struct {
		name  string
		place Place
	}{name, place})
}

var (
	doorRows = slices.Concat(ownKeys, ruleKeys, nativeKeys, spaKeys, forkKeys, commandKeys)
	doorKeys = newKeyTable(doorRows)
)

// ownKeys are those of knockd 0.8 that say who opens the door, and for how long.
var ownKeys = []key[*rawDoor]{
	{
		names: []string{"sequence"}, read: readSequence, fields: oneField(func(d *rawDoor) *[]knock.Step { return &d.Sequence }),
		facts: facts{spelled: "Sequence", secret: true, follow: sequenceComment, only: sequenceDoors, doc: "the steps that open the door"},
	},
	{
		names: []string{"one_time_sequences"}, read: readOneTimeFile, fields: oneField(func(d *rawDoor) *string { return &d.OneTimeFile }),
		facts: facts{spelled: "One_Time_Sequences", only: sequenceDoors, ruleset: noRuleset, doc: "a file of sequences that are used once"},
	},
	secondsKey(func(d *rawDoor) *time.Duration { return &d.Timeout }, "seq_timeout", "timeout").
		is(facts{spelled: "Seq_Timeout", follow: unitAndComment, only: sequenceDoors, doc: "the time from the first hit to the last"}),
	secondsKey(func(d *rawDoor) *time.Duration { return &d.CmdTimeout }, "cmd_timeout").
		is(facts{spelled: "Cmd_Timeout", follow: unitAndComment, doc: "how long the door stays open"}),
	{
		names: []string{"tcpflags"}, repeats: true, global: true, read: readFlags, fields: oneField(func(d *rawDoor) *knock.FlagMatch { return &d.Flags }),
		facts: facts{spelled: "TCPFlags", follow: listComment, only: sequenceDoors, doc: "the flags that TCP hits must and must not have"},
	},
	parsed(func(d *rawDoor) *netip.Addr { return &d.Target }, parseTarget, "target").
		is(facts{spelled: "Target", doc: "the destination of the hits, if it is no local address"}),

	valueKey(func(_ *rawDoor, value string) error { // what it means is dropInDoor's
		_, err := parseYes(value)
		return err
	}, "new").
		is(facts{doc: "that this section of a drop-in is a door of its own"}),
}

// commandKeys say what opens and closes the door. They are the last ones: what
// opens without a command opens first.
var commandKeys = []key[*rawDoor]{
	commandKey(func(d *rawDoor) *string { return &d.StartCommand }, "start_command", "command").acting(commandActions).
		is(facts{spelled: "Start_Command", doc: "what opens the door"}),
	commandKey(func(d *rawDoor) *string { return &d.StartCommand6 }, "start_command_6", "command_6").
		is(facts{spelled: "Start_Command_6", inherits: "start_command", doc: "what opens it for IPv6 addresses"}),
	commandKey(func(d *rawDoor) *string { return &d.StopCommand }, "stop_command").
		is(facts{spelled: "Stop_Command", doc: "what closes the door"}),
	commandKey(func(d *rawDoor) *string { return &d.StopCommand6 }, "stop_command_6").
		is(facts{spelled: "Stop_Command_6", inherits: "stop_command", doc: "what closes it for IPv6 addresses"}),
	parsed(func(d *rawDoor) *time.Duration { return &d.StartLimit }, parseSeconds, "start_limit").
		is(facts{spelled: "Start_Limit", follow: unitAndComment, doc: "how long the start command may run"}),
}

func readSequence(d *rawDoor, value string) ([]string, error) {
	steps, err := parseSequence(value, true)
	if err != nil {
		if made := sequence08(value); made != refused08 {
			err = fmt.Errorf("%w (%s)", err, made)
		}
		return nil, err
	}
	d.Sequence = steps
	return []string{"sequence: " + FormatSequence(d.Sequence)}, nil
}

func readOneTimeFile(d *rawDoor, value string) ([]string, error) {
	if value == "" {
		return nil, fmt.Errorf("must name a file")
	}
	d.OneTimeFile = value
	return []string{"one time sequences file: " + value}, nil
}

// parseSequence reads a sequence. A step "*", if allowed, gets port 0.
func parseSequence(text string, wild bool) ([]knock.Step, error) {
	steps, err := knock.ParseSequence(text, wild)
	var fault *knock.SequenceError
	switch {
	case !errors.As(err, &fault):
		return steps, nil
	case fault.Err != nil:
		return nil, fmt.Errorf("step %d: %w", fault.Step, stepFault(fault.Err))
	case fault.Steps > 0:
		return nil, fmt.Errorf("%d ports: must be at most %d", fault.Steps, knock.MaxSteps)
	}
	return nil, fmt.Errorf("is empty: must be at least one port")
}

// stepFault says what is wrong with a step, and nothing that may be a secret.
func stepFault(err error) error {
	var e *knock.StepError
	switch {
	case !errors.As(err, &e):
		return err
	case e.BadProtocol:
		return fmt.Errorf("%smust be tcp or udp", describe("protocol", e.Protocol))
	}
	return severalPorts(e.Port, portFault(e.Port, e.Number))
}

// portFault says what is wrong with a port.
func portFault(text string, number bool) error {
	if number {
		return fmt.Errorf("port %s: must be between 1 and 65535", text)
	}
	return fmt.Errorf("%smust be a number between 1 and 65535", describe("port", text))
}

// severalPorts says more of a text that is no port but begins with one.
func severalPorts(text string, err error) error {
	after := strings.TrimLeft(text, "0123456789")
	if len(after) == len(text) || after == "" {
		return err
	}
	next := strings.TrimLeft(after, space)
	switch {
	case after[0] == '-':
		return fmt.Errorf("a range: must be one port")
	case after[0] == ';' || after[0] == '/' || next != after && next[0] <= '9' && next[0] >= '0':
		return fmt.Errorf("must be one port: ports are separated by commas")
	case next != after:
		return fmt.Errorf("text behind a port: a comment begins with a blank and # or ;")
	}
	return err
}

// describe names what is wrong. What holds a digit and is no number may be a whole
// sequence, which no message may tell: it is only called by its kind.
func describe(kind, text string) string {
	if strings.ContainsAny(text, "0123456789") {
		return kind + " "
	}
	return fmt.Sprintf("%s %q: ", kind, text)
}

// FormatSequence writes a sequence as knockd 0.8 prints it: every step with
// its protocol. A step that takes any port is "*".
func FormatSequence(steps []knock.Step) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// secondsKey returns a number of whole seconds, of knockd 0.8.
func secondsKey(field func(*rawDoor) *time.Duration, names ...string) key[*rawDoor] {
	return key[*rawDoor]{names: names, fields: oneField(field), read: func(d *rawDoor, value string) ([]string, error) {
		t, err := parseSeconds(value)
		if err != nil {
			return nil, fmt.Errorf("%w (knockd 0.8 reads %d)", err, number08(value))
		}
		*field(d) = t
		return []string{fmt.Sprintf("%s: %d", names[0], t/time.Second)}, nil
	}}
}

func readFlags(d *rawDoor, value string) (trace []string, err error) {
	for name := range strings.SplitSeq(value, ",") {
		bare, clear := strings.CutPrefix(name, "!")
		flag, ok := knock.ParseFlag(bare)
		if !ok {
			return trace, fmt.Errorf("flag %q: must be fin, syn, rst, psh, ack or urg, or one of them after a %s", name, "!")
		}
		d.Flags = d.Flags.Add(flag, !clear)
		trace = append(trace, "tcp flag: "+strings.ToUpper(name))
	}
	return trace, nil
}

func parseTarget(value string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(value)
	switch {
	case err != nil:
		return addr, fmt.Errorf("%q: must be an IPv4 or IPv6 address (a name is none)", value)
	case addr.Zone() != "":
		return addr, fmt.Errorf("%q: must be an address without a zone", value)
	case addr.Is4In6():
		return addr, fmt.Errorf("%s: must be written %s, as packets have it", value, addr.Unmap())
	case addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return addr, fmt.Errorf("%s: must be the address of one host", value)
	}
	return addr, nil
}

// commandKey returns a command, kept byte for byte.
func commandKey(field func(*rawDoor) *string, names ...string) key[*rawDoor] {
	return valueKey(func(d *rawDoor, value string) error {
		*field(d) = value
		return checkCommand(value)
	}, names...).sets(oneField(field))
}

// checkCommand refuses what the kernel could not hand to /bin/sh: one argument
// has at most 32 pages, its closing NUL included (MAX_ARG_STRLEN in
// linux/binfmts.h). %IP% may grow to the longest network, %DOOR% to the longest
// name.
func checkCommand(value string) error {
	const longest = 32*4096 - 1
	n := len(value)
	n += strings.Count(value, "%IP%") * (len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127") - len("%IP%"))
	n += strings.Count(value, "%DOOR%") * (longestName - len("%DOOR%"))
	if n > longest {
		return fmt.Errorf("%d bytes with addresses put in: must be at most %d", n, longest)
	}
	return nil
}
