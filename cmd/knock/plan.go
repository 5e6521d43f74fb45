package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/knock"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

// plan is what the command line and the profile together ask for.
type plan struct {
	host    string     // to look up
	section string     // of the configuration, with its file, if that names the host
	address netip.Addr // in place of a lookup
	other   netip.Addr // of the other family, where no knock goes
	family  client.Family
	pace    client.Pace
	steps   []knock.Step // without these:
	oneTime string       // a file
	spa     *spa.Profile // a packet in place of all of these
	spaIPv6 bool
	outside client.Outside
	wait    uint16 // 0: do not wait
	timeout time.Duration
	retry   int
}

// plan joins the command line with the profile that it names, or else with
// the one of the host. What the command line says wins. Without a host the
// profile says it.
func (o *options) plan(sys system, r *report, host string, ports []string) (*plan, error) {
	if err := o.contradictions(ports); err != nil {
		return nil, err
	}
	prof, err := o.findProfile(sys, r, host)
	if err != nil {
		return nil, err
	}
	p := &plan{host: o.hostOf(prof, host), address: prof.Address, timeout: o.timeout, retry: o.retry, wait: o.wait}
	if o.elsewhere(prof, host) {
		p.address = netip.Addr{}
	} else if prof.Host != "" {
		p.section = fmt.Sprintf("[%s] in %s", cmp.Or(o.profile, host), o.profileFile(sys))
	}
	p.pace = client.Pace{Sender: client.Sender{Route: o.route, Flags: o.flags}, Delay: o.delay}
	o.fill(p, prof)
	if err := o.secret(sys, r, p, prof, host, ports); err != nil {
		return nil, err
	}
	if p.oneTime != "" && p.family == client.Both {
		return nil, cli.Usagef("leave out --both", "a line of a one-time file opens for one address")
	}
	return p, nil
}

// secret finds out what to show the server: a packet or a sequence.
func (o *options) secret(sys system, r *report, p *plan, prof profile.Profile, host string, ports []string) (err error) {
	if len(ports) == 0 && o.sequenceFile == "" && o.oneTime == "" {
		if p.spa, err = o.authorization(sys, r, p, prof, host); p.spa != nil || err != nil {
			return err
		}
	}
	return o.sequence(sys, r, p, prof, ports)
}

// elsewhere says whether the command line names another host than that of the
// profile.
func (o *options) elsewhere(prof profile.Profile, host string) bool {
	return o.profile != "" && host != "" && !strings.EqualFold(host, o.profile) && host != prof.Host
}

// hostOf returns the name to look up.
func (o *options) hostOf(prof profile.Profile, host string) string {
	switch {
	case o.elsewhere(prof, host):
		return host
	case prof.Host != "":
		return prof.Host
	case host != "":
		return host
	}
	return o.profile
}

// fill takes from the profile what the command line does not say.
func (o *options) fill(p *plan, prof profile.Profile) {
	p.family = o.family(prof)
	if prof.Delay != nil && !o.given("delay") {
		p.pace.Delay = *prof.Delay
	}
	if prof.Timeout != nil && !o.given("timeout") {
		p.timeout = *prof.Timeout
	}
	if prof.Retry != nil && !o.given("retry") {
		p.retry = *prof.Retry
	}
	if !o.given("wait") {
		p.wait = prof.Wait
	}
	if !o.given("flags") {
		p.pace.Flags = prof.Flags
	}
	if !o.given("source") {
		p.pace.Source = prof.Source
	}
	if !o.given("interface") {
		p.pace.Interface = prof.Interface
	}
}

// family returns the address family asked for. As in knock 0.8, -6 wins over
// -4.
func (o *options) family(prof profile.Profile) client.Family {
	switch {
	case o.both:
		return client.Both
	case o.ipv6:
		return client.IPv6
	case o.ipv4:
		return client.IPv4
	case prof.Family != nil:
		return *prof.Family
	}
	return client.Any
}

// contradictions finds options that exclude each other.
func (o *options) contradictions(ports []string) error {
	sources := 0
	for _, given := range []bool{len(ports) > 0, o.oneTime != "", o.sequenceFile != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return cli.Usagef("choose one of them", "ports, --one-time and --sequence-file exclude each other")
	case o.both && (o.ipv4 || o.ipv6):
		return cli.Usagef("leave out -4 and -6", "--both means IPv4 and IPv6")
	case o.given("one-time") && o.oneTime == "", o.given("sequence-file") && o.sequenceFile == "":
		return cli.Usagef("", "the name of the file is empty")
	}
	return nil
}

// configFile returns the path of the configuration, or "" if there is no home
// for it.
func (o *options) configFile(sys system) string {
	if o.config != "" {
		return o.config
	}
	return profile.Path(sys.getenv)
}

// profileFile is configFile for messages.
func (o *options) profileFile(sys system) string {
	if file := o.configFile(sys); file != "" {
		return file
	}
	return "the configuration"
}

// loadConfig reads the configuration.
func (o *options) loadConfig(sys system) (*profile.Config, error) {
	config, err := profile.Load(o.configFile(sys), sys.getenv("HOME"))
	if err != nil {
		return nil, cli.Usage(err, "correct the file; knock(1) lists its keys under PROFILES")
	}
	return config, nil
}

// findProfile returns the profile to use, an empty one if there is none.
func (o *options) findProfile(sys system, r *report, host string) (profile.Profile, error) {
	config, err := o.loadConfig(sys)
	if errors.Is(err, fs.ErrPermission) && o.config == "" && o.profile == "" {
		// Somebody else's HOME, as after su: what the command line says may do.
		r.warn(err.Error(), "set HOME, or name a file of your own with --config")
		return profile.Profile{}, nil
	}
	if err != nil {
		return profile.Profile{}, err
	}
	r.exposed(o.configFile(sys))
	name := o.profile
	if name == "" {
		name = host
	}
	prof, ok := config.Find(name)
	if !ok && o.profile != "" {
		return prof, cli.Usagef(fmt.Sprintf("write a section [%s] into %s; knock profiles lists those that are there", name, o.profileFile(sys)), "no profile %s", name)
	}
	return prof, nil
}

// sequence finds out what to knock: the command line's ports or files, else
// the profile's.
func (o *options) sequence(sys system, r *report, p *plan, prof profile.Profile, ports []string) (err error) {
	file, oneTime, steps := o.sequenceFile, o.oneTime, []knock.Step(nil)
	if len(ports) == 0 && file == "" && oneTime == "" {
		file, oneTime, steps = prof.SequenceFile, prof.OneTimeFile, prof.Sequence
	}
	switch {
	case len(ports) > 0:
		steps, err = parsePorts(ports)
	case file != "":
		r.exposed(file)
		steps, err = readSequence(sys, file)
	case oneTime != "":
		r.exposed(oneTime)
		p.oneTime = oneTime
		return nil
	case steps == nil:
		if err = client.CheckHost(p.host); err == nil {
			err = cli.Usagef("name the ports, or write a section ["+p.host+"] with a sequence into "+o.profileFile(sys)+" (knock(1), PROFILES)",
				"no sequence for %s", p.host)
		}
	}
	p.steps = o.allUDP(steps)
	return err
}

// allUDP carries out -u.
func (o *options) allUDP(steps []knock.Step) []knock.Step {
	if !o.udp {
		return steps
	}
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
				return nil, cli.Usage(err, portHint)
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// readSequence reads the sequence from a file, or from standard input if the
// name is a dash.
func readSequence(sys system, name string) ([]knock.Step, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(io.LimitReader(sys.stdin, 1<<16))
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("sequence file: %w", err), "")
	}
	steps, err := client.ParseSequenceFile(string(text))
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("sequence file %s: %w", name, err), "write ports such as 7000 8000:udp 9000, separated by blanks, commas or line ends")
	}
	return steps, nil
}

// opener returns what asks for the door.
func (p *plan) opener(r *report) client.Opener {
	pace := p.pace
	pace.OnHit = r.hit
	if p.spa != nil {
		return &client.SPA{Route: pace.Route, Profile: *p.spa, IPv6: p.spaIPv6, Outside: p.outside, OnPacket: r.packet}
	}
	if p.oneTime == "" {
		return &client.Sequence{Pace: pace, Steps: p.steps}
	}
	return &client.OneTime{Pace: pace, Path: p.oneTime, OnSkip: func(line int) {
		// The text of the line is a secret, also where it has a mistake.
		r.warn(fmt.Sprintf("%s:%d: not a sequence, skipped", p.oneTime, line), "correct the line, here and at the server")
	}}
}

// resolve finds the addresses to knock at.
func (p *plan) resolve(ctx context.Context) ([]netip.Addr, error) {
	family, host := p.family, p.host
	if p.address.IsValid() {
		host = p.address.String()
	}
	onlyIPv4 := p.spa != nil && family == client.Any && !p.spaIPv6
	if onlyIPv4 {
		family = client.IPv4
	}
	hosts, other, err := client.Resolve(ctx, host, family)
	p.other = other
	if dns := new(net.DNSError); p.section != "" && errors.As(err, &dns) && dns.IsNotFound {
		err = cli.WithHint(err, "check the host of "+p.section)
	}
	if onlyIPv4 && errors.As(err, new(*client.FamilyError)) {
		err = cli.WithHint(err, spaFamilyHint)
	}
	return hosts, err
}

const spaFamilyHint = "servers of fwknop know IPv4 alone; one of this project with spa_ipv6 = yes takes IPv6 with --ipv6-extension"

// visit returns what asks for the door and waits until it is open.
func (p *plan) visit(r *report, hosts []netip.Addr) *client.Visit {
	return &client.Visit{
		Opener: p.opener(r), Route: p.pace.Route, Hosts: hosts, Port: p.wait,
		Timeout: p.timeout, Retry: p.retry, Settle: p.pace.Delay, OnRetry: r.retry,
	}
}
