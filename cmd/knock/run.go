package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"

	"knockd/internal/client"
	"knockd/internal/knock"
)

// run is the command, given its arguments; it returns the exit status.
func run(ctx context.Context, args []string, sys system) int {
	var o options
	fs := pflag.NewFlagSet("knock", pflag.ContinueOnError)
	o.register(fs)
	if err := fs.Parse(args); err != nil {
		return sys.badOption(err)
	}
	switch {
	case o.help:
		printUsage(sys.stdout)
		return exitOpen
	case o.version:
		printVersion(sys.stdout)
		return exitOpen
	case fs.NArg() < 2:
		printUsage(sys.stdout)
		return exitUsage
	}
	return sys.exit(o.knock(ctx, sys, fs.Arg(0), fs.Args()[1:]))
}

// knock sends the sequence.
func (o *options) knock(ctx context.Context, sys system, host string, ports []string) error {
	steps, err := o.steps(ports)
	if err != nil {
		return err
	}
	hosts, err := client.Resolve(ctx, host, o.family())
	if err != nil {
		return err
	}
	return o.opener(sys, steps).Ask(ctx, hosts, 0)
}

// steps reads the ports of the command line.
func (o *options) steps(ports []string) ([]knock.Step, error) {
	var steps []knock.Step
	for _, port := range ports {
		step, err := client.ParseStep(port)
		if err != nil {
			return nil, &usageError{err: err, hint: portHint}
		}
		if o.udp {
			step.Proto = knock.UDP
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func (o *options) opener(sys system, steps []knock.Step) client.Opener {
	pace := client.Pace{Sender: client.Sender{Route: o.route, Flags: o.flags}, Delay: o.delay}
	if o.verbose {
		pace.OnHit = func(host netip.Addr, step knock.Step) {
			fmt.Fprintf(sys.stdout, "hitting %s %s:%d\n", step.Proto, host, step.Port)
		}
	}
	return &client.Sequence{Pace: pace, Steps: steps}
}
