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
	conf           *config.Config // the one that the outputs were opened for
	closers        []io.Closer
}

// open opens the outputs of a configuration. A log file that cannot be opened
// is a warning, as with knockd 0.8: the doors matter more.
func (o *outputs) open(conf *config.Config) {
	o.conf = conf
	o.Outputs = eventlog.Outputs{Terminal: eventlog.Plain{W: o.stderr}}
	if o.options.verbose {
		o.Verbose = eventlog.Plain{W: o.stdout}
	}
	path := o.options.logFile
	if conf.LogFile != "" {
		path = conf.LogFile
	}
	if path != "" {
		file, err := eventlog.OpenFile(path)
		o.add(file, err)
	}
	if conf.UseSyslog {
		s, err := eventlog.OpenSyslog()
		o.add(s, err)
	}
	if o.Log == nil {
		o.logToStderr()
	}
}

func (o *outputs) add(sink interface {
	eventlog.Sink
	io.Closer
}, err error) {
	if err != nil {
		fmt.Fprintf(o.stderr, "knockd: warning: %v\n", err)
		return
	}
	o.closers = append(o.closers, sink)
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

// reopen closes the outputs and opens those of a configuration, or the same
// once more if conf is nil.
func (o *outputs) reopen(log *eventlog.Log, conf *config.Config) {
	if conf == nil {
		conf = o.conf
	}
	old := o.closers
	o.closers = nil
	o.open(conf)
	log.SetOutputs(o.Outputs)
	for _, c := range old {
		c.Close()
	}
}

func (o *outputs) close() {
	for _, c := range o.closers {
		c.Close()
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
