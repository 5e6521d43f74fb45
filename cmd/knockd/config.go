package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/check"
	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/control"
)

// load reads and checks the configuration, and says with -D what it reads.
func (o *options) load(stdout, stderr io.Writer) (*config.Config, error) {
	conf, err := o.loadConfig(o.config)
	var faults *config.FaultError
	switch {
	case errors.As(err, &faults):
		o.trace(stdout, faults.Trace)
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.WithHint(err, "name another configuration with -c, or have one made: knockctl init")
	case err != nil:
		return nil, cli.WithHint(err, "name another configuration with -c")
	}
	o.trace(stdout, conf.Trace)
	conf.Trace = nil
	o.warn(stderr, conf.Warnings...)
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
	setup := check.Setup{Conf: conf, ConfigFile: o.path(o.config), Interfaces: o.interfaces, Actions: action.Stopped()}
	report, err := setup.Daemon()
	for _, f := range report.Findings {
		if f.Level == check.Advice {
			speaker(stderr).Say("advice: "+f.Text, "")
		} else {
			o.warn(stderr, f.Text)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s\n", o.config, o.verdict(len(conf.Doors), report.Nothing))
	return nil
}

// sayEffective prints what a daemon with these options would go by. What was
// not said has the value that the program gives it.
func (o *options) sayEffective(conf *config.Config, stdout io.Writer) error {
	conf.Interfaces, _ = capture.ToListenOn(o.interfaces, conf.Interfaces)
	conf.LogFile = cmp.Or(conf.LogFile, o.logFile)
	conf.PidFile = cmp.Or(conf.PidFile, o.pidFile)
	conf.StateDir = cmp.Or(conf.StateDir, config.DefaultStateDir)
	conf.ControlSocket = cmp.Or(conf.ControlSocket, control.DefaultSocket)
	conf.ControlGroup = cmp.Or(conf.ControlGroup, config.DefaultControlGroup)
	_, err := io.WriteString(stdout, conf.Effective())
	return err
}

// verdict returns the last line of -t.
func (o *options) verdict(doors int, nothing string) string {
	text := cli.Counted(doors, "door")
	if o.warnings == 0 {
		return text + ", no faults"
	}
	text += ", " + cli.Counted(o.warnings, "warning")
	if nothing != "" {
		text += ": " + nothing
	}
	return text
}
