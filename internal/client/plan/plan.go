package plan

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"knockd/internal/client"
	"knockd/internal/knock"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

// Plan is what the command line and the profile together ask for.
type Plan struct {
	Host    string     // to look up
	Section string     // of the configuration, with its file, if that names the host
	Other   netip.Addr // of the other family, where no knock goes
	Pace    client.Pace
	Steps   []knock.Step // one of these three: a sequence,
	OneTime string       // a file of one-time sequences,
	SPA     *spa.Profile // or a packet
	SPAIPv6 bool         // which may go over IPv6
	Wait    uint16       // 0: do not wait
	Timeout time.Duration
	Retry   int

	address        netip.Addr // in place of a lookup
	family         client.Family
	addressService client.AddressService
	report         Reporter
}

// builder makes a plan.
type builder struct {
	said *Request
	prof profile.Profile
	plan *Plan
	Reporter
}

// Make joins the request with the profile that it names, or else with the one
// of the host. Without a host the profile says it.
func (q *Request) Make(r Reporter) (*Plan, error) {
	if err := q.contradictions(); err != nil {
		return nil, err
	}
	prof, err := q.FindProfile(r)
	if err != nil {
		return nil, err
	}
	p := &Plan{Host: q.hostOf(prof), report: r}
	if !q.elsewhere(prof) {
		p.address = prof.Address
		if prof.Host != "" {
			p.Section = fmt.Sprintf("[%s] in %s", cmp.Or(q.Profile, q.Host), q.ConfigName())
		}
	}
	b := builder{q, prof, p, r}
	b.fill()
	if err := b.secret(); err != nil {
		return nil, err
	}
	if p.OneTime != "" && p.family == client.Both {
		return nil, mistakef("leave out --both", "a line of a one-time file opens for one address")
	}
	return p, nil
}

// fill takes from the profile what the command line does not say.
func (b *builder) fill() {
	q, prof, p := b.said, b.prof, b.plan
	p.family = q.family(prof)
	p.Pace.Delay = pick(knock.DefaultDelay, q.Delay, prof.Delay)
	p.Timeout = pick(client.DefaultTimeout, q.Timeout, prof.Timeout)
	p.Retry = pick(client.DefaultRetry, q.Retry, prof.Retry)
	p.Wait = cmp.Or(q.Wait, prof.Wait)
	p.Pace.Flags = cmp.Or(q.Flags, prof.Flags)
	p.Pace.Source = cmp.Or(q.Source, prof.Source)
	p.Pace.Interface = pick(prof.Interface, q.Interface)
}

// secret finds out what the server is to see: a packet or a sequence.
func (b *builder) secret() (err error) {
	if len(b.said.Ports) == 0 && !filled(b.said.SequenceFile) && !filled(b.said.OneTime) {
		if b.plan.SPA, err = b.authorization(); b.plan.SPA != nil || err != nil {
			return err
		}
	}
	return b.sequence()
}

// IPv4Only reports whether nothing but the server's kind keeps the plan from
// IPv6.
func (p *Plan) IPv4Only() bool { return p.SPA != nil && p.family == client.Any && !p.SPAIPv6 }

// Resolve finds the addresses to knock at.
func (p *Plan) Resolve(ctx context.Context) (hosts []netip.Addr, err error) {
	family, host := p.family, p.Host
	if p.address.IsValid() {
		host = p.address.String()
	}
	if p.IPv4Only() {
		family = client.IPv4
	}
	hosts, p.Other, err = client.Resolve(ctx, host, family)
	return hosts, err
}

// Opener returns what asks for the door.
func (p *Plan) Opener() client.Opener {
	pace := p.Pace
	pace.OnHit = p.report.Hit
	if p.SPA != nil {
		return &client.SPA{Route: pace.Route, Profile: *p.SPA, IPv6: p.SPAIPv6, AddressService: p.addressService, OnPacket: p.report.Packet}
	}
	if p.OneTime == "" {
		return &client.Sequence{Pace: pace, Steps: p.Steps}
	}
	return &client.OneTime{Pace: pace, Path: p.OneTime, OnSkip: func(line int) {
		// The text of the line is a secret, also where it has a mistake.
		p.report.Warn(fmt.Sprintf("%s:%d: not a sequence, skipped", p.OneTime, line), "correct the line, here and at the server")
	}}
}

// Dialer returns what asks for the door and waits until it is open.
func (p *Plan) Dialer(hosts []netip.Addr) *client.Dialer {
	route := p.Pace.Route
	route.Watch = nil // what waits sends no knocks
	return &client.Dialer{
		Opener: p.Opener(), Route: route, Hosts: hosts, Port: p.Wait,
		Timeout: p.Timeout, Retry: p.Retry, Pause: p.Pace.Delay, OnRetry: p.report.Retry,
	}
}
