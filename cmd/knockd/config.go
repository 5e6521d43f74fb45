package main

import (
	"errors"
	"fmt"
	"io"

	"knockd/internal/config"
	"knockd/internal/daemon"
)

// load reads and checks the configuration, and says with -D what it reads.
func (o *options) load(stdout, stderr io.Writer) (*config.Config, error) {
	conf, err := o.loadConfig(o.config)
	var faults *config.FaultError
	switch {
	case errors.As(err, &faults):
		o.trace(stdout, faults.Trace)
		return nil, err
	case err != nil:
		return nil, hinted(err, "name another configuration with -c")
	}
	o.trace(stdout, conf.Trace)
	conf.Trace = nil
	for _, w := range conf.Warnings {
		fmt.Fprintf(stderr, "knockd: warning: %s\n", w)
	}
	return conf, nil
}

func (o *options) trace(stdout io.Writer, t config.Trace) {
	if !o.debug {
		return
	}
	if len(o.interfaces) > 0 {
		t = t.WithoutInterface()
	}
	for _, line := range t {
		fmt.Fprintln(stdout, line)
	}
}

// sayChecked is the answer of -t to a configuration without faults.
func (o *options) sayChecked(conf *config.Config, stdout, stderr io.Writer) error {
	state, err := o.checkState(conf.StateDir, stderr)
	if err != nil {
		return err
	}
	warnings, advice, err := daemon.Check(conf, state)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintf(stderr, "knockd: warning: %s\n", w)
	}
	for _, a := range advice {
		fmt.Fprintf(stderr, "knockd: advice: %s\n", a)
	}
	names, _ := o.interfacesOf(conf)
	warnMissing(names, stderr)
	s := "s"
	if len(conf.Doors) == 1 {
		s = ""
	}
	fmt.Fprintf(stdout, "%s: %d door%s, no faults\n", o.config, len(conf.Doors), s)
	return nil
}
