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
	"knockd/internal/client/plan"
	"knockd/internal/knock"
)

// runKnock is the command without a subcommand: knock, and wait if asked to.
func runKnock(ctx context.Context, o *options, sys system) int {
	r := newReport(o, sys, sys.stdout)
	if words := o.set.Args(); len(words) > 0 {
		o.Host, o.Ports = words[0], words[1:]
	}
	return r.finish(o.knock(ctx, r))
}

func (o *options) knock(ctx context.Context, r *report) error {
	p, err := o.Make(r)
	if err != nil {
		return err
	}
	if o.explain && o.dryRun {
		return cli.Usagef("leave out one of them", "--explain tells of what is sent, and --dry-run sends nothing")
	}
	if p.Wait == 0 && (o.Retry != nil || o.Timeout != nil) {
		return cli.Usagef("add --wait tcp/PORT with a port behind the door", "--retry and --timeout say how to wait, and there is no --wait")
	}
	hosts, err := resolve(ctx, p)
	if err != nil {
		return err
	}
	r.begin(p, hosts)
	switch {
	case o.dryRun:
		return printPlan(p, r, hosts)
	case p.Wait == 0:
		r.explain.watch(p)
		err := p.Opener().Ask(ctx, hosts, 0)
		r.explain.finish()
		return err
	}
	conn, err := open(ctx, p, r, hosts)
	if err == nil {
		conn.Close()
		sayFamily(p, r, hosts[0])
	}
	return err
}

// resolve finds the addresses to knock at, or says what may be wrong.
func resolve(ctx context.Context, p *plan.Plan) ([]netip.Addr, error) {
	hosts, err := p.Resolve(ctx)
	if dns := new(net.DNSError); p.Section != "" && errors.As(err, &dns) && dns.IsNotFound {
		err = cli.WithHint(err, "check the host of "+p.Section)
	}
	if p.IPv4Only() && errors.As(err, new(*client.FamilyError)) {
		err = cli.WithHint(err, spaFamilyHint)
	}
	return hosts, err
}

const spaFamilyHint = "servers of fwknop know IPv4 alone; one of this project with spa_ipv6 = yes takes IPv6 with --ipv6-extension"

// sayFamily tells for which address of a name with both families the door is
// open: a program that takes the other one finds it shut.
func sayFamily(p *plan.Plan, r *report, host netip.Addr) {
	if !p.Other.IsValid() {
		return
	}
	advice := "--both knocks at both"
	if p.OneTime != "" || p.SPA != nil && !p.SPAIPv6 {
		flag := 6
		if host.Is4() {
			flag = 4
		}
		advice = fmt.Sprintf("take the same way in, such as ssh -%d", flag)
	}
	r.say("tcp/%d is open at %s; %s has %s too: %s", p.Wait, host, p.Host, p.Other, advice)
}

// open asks for the door and waits until it is open.
func open(ctx context.Context, p *plan.Plan, r *report, hosts []netip.Addr) (net.Conn, error) {
	start := time.Now()
	stop := r.progress(p, hosts)
	r.explain.watch(p)
	conn, err := p.Dialer(hosts).Dial(ctx)
	stop()
	r.explain.finish()
	var shut *client.ClosedError
	switch {
	case err == nil:
		r.opened(conn.RemoteAddr(), time.Since(start))
	case errors.As(err, &shut) && p.SPA != nil:
		err = cli.WithHint(err, spaHint)
	case errors.As(err, &shut) && p.Pace.Flags != 0:
		err = cli.WithHint(err, flagsHint)
	}
	return conn, err
}

const spaHint = "check the keys and both clocks; where a router replaces your address, try -s or name it with -a; the server's log says more"

const flagsHint = "NAT and stateful firewalls on the way drop or change segments that begin no connection: try from another network, or have the door ask for no flags but syn"

// printPlan says what would be sent.
func printPlan(p *plan.Plan, r *report, hosts []netip.Addr) error {
	steps := p.Steps
	if p.SPA != nil {
		previewSPA(p, r)
	}
	if p.OneTime != "" {
		line, err := (&client.OneTime{Path: p.OneTime}).Peek()
		if err != nil {
			return err
		}
		steps = line.Steps
		r.say("would use line %d of %s", line.Number, p.OneTime)
	}
	for _, step := range steps {
		for _, host := range hosts {
			r.Hit(host, step)
		}
	}
	if p.Wait != 0 {
		r.say("would wait %v for tcp/%d", p.Timeout, p.Wait)
	}
	return nil
}

// previewSPA says what the packet would ask for.
func previewSPA(p *plan.Plan, r *report) {
	text := "would ask for " + knock.PortNames(knock.PortsOf(p.SPA.Access), ", ")
	if p.SPA.Timeout > 0 {
		text += fmt.Sprintf(" for %d s", p.SPA.Timeout/time.Second)
	}
	r.say("%s", text)
}
