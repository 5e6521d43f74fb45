package main

import (
	"fmt"
	"io"
	"os"

	"knockd/internal/config"
	"knockd/internal/eventlog"
)

// outputs is where the lines go, by the file and the command line.
type outputs struct {
	eventlog.Outputs
	options        *options
	stdout, stderr io.Writer
	conf           *config.Config   // the one that the outputs were opened for
	file           *eventlog.File   // nil: none
	syslog         *eventlog.Syslog // nil: none
}

// open opens the outputs of a configuration. A log file that cannot be opened
// is a warning, as with knockd 0.8: the doors matter more. Then one that is
// open already goes on. A syslog daemon that is not there gets the lines once it
// is; until then, and without a log file, standard error has them too.
func (o *outputs) open(conf *config.Config) (warnings []string) {
	o.conf = conf
	o.Outputs = eventlog.Outputs{Terminal: eventlog.Plain{W: o.stderr}, Watchers: eventlog.Plain{W: o.stdout}}
	if o.options.verbose {
		o.Verbose = eventlog.Plain{W: o.stdout}
	}
	if err := o.openFile(conf.LogFile); err != nil {
		warnings = append(warnings, err.Error())
	}
	var err error
	if o.syslog = nil; conf.UseSyslog {
		if o.syslog, err = eventlog.OpenSyslog(); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	if o.Log == nil && (o.syslog == nil || err != nil) {
		o.logToStderr()
	}
	if o.syslog != nil {
		o.add(o.syslog)
	}
	return warnings
}

// openFile opens the log file that the configuration names, else -g.
func (o *outputs) openFile(path string) error {
	if path == "" {
		path = o.options.logFile
	}
	if path == "" {
		o.file = nil
		return nil
	}
	file, err := eventlog.OpenFile(path)
	switch {
	case err == nil:
		o.file = file
	case o.file == nil:
		return err
	default:
		err = fmt.Errorf("%w: the log goes on in the file that was open", err)
	}
	o.add(o.file)
	return err
}

func (o *outputs) add(sink eventlog.Sink) {
	if o.Log == nil {
		o.Log = sink
	} else {
		o.Log = eventlog.Both{A: o.Log, B: sink}
	}
}

// logToStderr makes standard error the log. Where -v writes to the same
// terminal or file a line is written once.
func (o *outputs) logToStderr() {
	o.Log, o.Terminal = o.Terminal, nil
	if o.Verbose != nil && sameFile(o.stdout, o.stderr) {
		o.Verbose = nil
	}
}

// reopen opens the outputs of a configuration, or the same once more if conf
// is nil, and closes those that were open.
func (o *outputs) reopen(log *eventlog.Log, conf *config.Config) {
	if conf == nil {
		conf = o.conf
	}
	old := *o
	warnings := o.open(conf)
	file := o.file
	log.SetOutputs(o.Outputs, func() {
		if old.file == file {
			old.file = nil
		}
		old.close()
	})
	for _, w := range warnings {
		log.Warn(w)
	}
}

func (o *outputs) close() {
	if o.file != nil {
		o.file.Close()
	}
	if o.syslog != nil {
		o.syslog.Close()
	}
}

func sameFile(a, b io.Writer) bool {
	fa, okA := a.(*os.File)
	fb, okB := b.(*os.File)
	if !okA || !okB {
		return false
	}
	ia, errA := fa.Stat()
	ib, errB := fb.Stat()
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}
