package plan

import (
	"io"
	"os"
	"strings"

	"knockd/internal/client"
	"knockd/internal/knock"
)

// sequence finds out what to knock: the command line's ports or files, else
// the profile's.
func (b *builder) sequence() (err error) {
	file, oneTime, steps := pick("", b.said.SequenceFile), pick("", b.said.OneTime), []knock.Step(nil)
	if len(b.said.Ports) == 0 && file == "" && oneTime == "" {
		file, oneTime, steps = b.prof.SequenceFile, b.prof.OneTimeFile, b.prof.Sequence
	}
	switch {
	case len(b.said.Ports) > 0:
		steps, err = parsePorts(b.said.Ports)
	case file != "":
		warnExposed(b, file)
		steps, err = b.said.readSequence(file)
	case oneTime != "":
		warnExposed(b, oneTime)
		b.plan.OneTime = oneTime
		return nil
	case steps == nil:
		if err = client.CheckHost(b.plan.Host); err == nil {
			err = mistakef("name the ports, or write a section ["+b.plan.Host+"] with a sequence into "+b.said.ConfigName()+" (knock(1), PROFILES)",
				"no sequence for %s", b.plan.Host)
		}
	}
	if b.said.UDP {
		steps = allUDP(steps)
	}
	b.plan.Steps = steps
	return err
}

// allUDP carries out -u.
func allUDP(steps []knock.Step) []knock.Step {
	udp := make([]knock.Step, len(steps))
	for i, step := range steps {
		udp[i] = knock.Step{Proto: knock.UDP, Port: step.Port}
	}
	return udp
}

const portHint = "write PORT, PORT:tcp or PORT:udp; the ports are in the sequence of the server's door"

// parsePorts reads the ports of the command line: a word each, or as the
// server's configuration writes them, with commas.
func parsePorts(words []string) ([]knock.Step, error) {
	var steps []knock.Step
	for _, word := range words {
		ports := strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(ports) == 0 {
			ports = []string{word}
		}
		for _, port := range ports {
			step, err := client.ParseStep(port)
			if err != nil {
				return nil, mistake(err, portHint)
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// readSequence reads the sequence from a file, or from standard input if the
// name is a dash.
func (q *Request) readSequence(name string) ([]knock.Step, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(io.LimitReader(q.Stdin, 1<<16))
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, mistakef("", "sequence file: %w", err)
	}
	steps, err := client.ReadSequenceFile(string(text))
	if err != nil {
		return nil, mistakef("write ports such as 7000 8000:udp 9000, separated by blanks, commas or line ends", "sequence file %s: %w", name, err)
	}
	return steps, nil
}
