package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"knockd/internal/cli"
	"knockd/internal/client"
)

// runKnock is the command without a subcommand: knock, and wait if asked to.
func runKnock(ctx context.Context, o *options, sys system) int {
	r := newReport(o, sys, sys.stdout)
	host, ports := "", o.set.Args()
	if len(ports) > 0 {
		host, ports = ports[0], ports[1:]
	}
	return r.finish(o.knock(ctx, sys, r, host, ports))
}

func (o *options) knock(ctx context.Context, sys system, r *report, host string, ports []string) error {
	p, err := o.plan(sys, r, host, ports)
	if err != nil {
		return err
	}
	if p.wait == 0 && (o.given("retry") || o.given("timeout")) {
		return cli.Usagef("add --wait tcp/PORT with a port behind the door", "--retry and --timeout say how to wait, and there is no --wait")
	}
	hosts, err := p.resolve(ctx)
	if err != nil {
		return err
	}
	r.begin(p, hosts)
	switch {
	case o.dryRun:
		return p.rehearse(r, hosts)
	case p.wait == 0:
		return p.opener(r).Ask(ctx, hosts, 0)
	}
	conn, err := p.open(ctx, r, hosts)
	if err == nil {
		conn.Close()
		p.sayFamily(r, hosts[0])
	}
	return err
}

// sayFamily tells for which address of a name with both families the door is
// open: a program that takes the other one finds it shut.
func (p *plan) sayFamily(r *report, host netip.Addr) {
	if !p.other.IsValid() {
		return
	}
	advice := "--both knocks at both"
	if p.oneTime != "" || p.spa != nil && !p.spaIPv6 {
		flag := 6
		if host.Is4() {
			flag = 4
		}
		advice = fmt.Sprintf("take the same way in, such as ssh -%d", flag)
	}
	r.say("tcp/%d is open at %s; %s has %s too: %s", p.wait, host, p.host, p.other, advice)
}

// open asks for the door and waits until it is open.
func (p *plan) open(ctx context.Context, r *report, hosts []netip.Addr) (net.Conn, error) {
	start := time.Now()
	stop := r.progress(p, hosts)
	conn, err := p.visit(r, hosts).Open(ctx)
	stop()
	var shut *client.ShutError
	switch {
	case err == nil:
		r.opened(conn.RemoteAddr(), time.Since(start))
	case errors.As(err, &shut) && p.spa != nil:
		err = cli.WithHint(err, spaHint)
	case errors.As(err, &shut) && p.pace.Flags != 0:
		err = cli.WithHint(err, flagsHint)
	}
	return conn, err
}

const spaHint = "check the keys and both clocks; where a router replaces your address, try -s or name it with -a; the server's log says more"

const flagsHint = "NAT and stateful firewalls on the way drop or change segments that begin no connection: try from another network, or have the door ask for no flags but syn"

// rehearse says what would be sent.
func (p *plan) rehearse(r *report, hosts []netip.Addr) error {
	steps := p.steps
	if p.spa != nil {
		p.rehearseSPA(r)
	}
	if p.oneTime != "" {
		line, err := (&client.OneTime{Path: p.oneTime}).Peek()
		if err != nil {
			return err
		}
		steps = line.Steps
		r.say("would use line %d of %s", line.Number, p.oneTime)
	}
	for _, step := range steps {
		for _, host := range hosts {
			r.hit(host, step)
		}
	}
	if p.wait != 0 {
		r.say("would wait %v for tcp/%d", p.timeout, p.wait)
	}
	return nil
}
