package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/statefile"
)

// outputs is where the lines go, by the file and the command line.
type outputs struct {
	eventlog.Outputs
	options        *options
	stdout, stderr io.Writer

	mu     sync.Mutex       // over what follows and Outputs, while the daemon runs
	conf   *config.Config   // the one that the outputs were opened for
	file   *eventlog.File   // nil: none
	syslog *eventlog.Syslog // nil: none
	others []io.Closer      // that Log names
}

// programs are the sinks that Log names.
var programs = map[config.LogSink]func() closingSink{
	config.LogJournald: func() closingSink { return eventlog.OpenJournald() },
}

type closingSink interface {
	eventlog.Sink
	io.Closer
}

// open opens the outputs of a configuration. A log file that cannot be opened
// is a warning, as with knockd 0.8: the doors matter more. Then one that is
// open already goes on. A syslog daemon that is not there gets the lines once it
// is; until then, and without a log file, standard error has them too.
func (o *outputs) open(conf *config.Config) (faults []error) {
	o.conf = conf
	o.Outputs = eventlog.Outputs{Terminal: eventlog.Plain{W: o.stderr}, Debug: eventlog.Plain{W: o.stdout}}
	if o.options.verbose {
		o.Verbose = eventlog.Plain{W: o.stdout}
	}
	for _, name := range conf.Log {
		sink := programs[name]()
		o.Programs, o.others = append(o.Programs, sink), append(o.others, sink)
	}
	if err := o.openFile(conf.LogFile); err != nil {
		faults = append(faults, err)
	}
	if o.file != nil && o.file.Doubt() != nil {
		faults = append(faults, fmt.Errorf("log file %w", o.file.Doubt()))
	}
	var err error
	if o.syslog = nil; conf.UseSyslog {
		if o.syslog, err = eventlog.OpenSyslog(); err != nil {
			faults = append(faults, err)
		}
	}
	if o.Log == nil && len(o.Programs) == 0 && (o.syslog == nil || err != nil) {
		o.logToStderr()
	}
	if o.syslog != nil {
		o.addSyslog(conf.SyslogFormat)
	}
	return faults
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
	if o.conf.LogFormat == config.LogJSON {
		o.Programs = append(o.Programs, o.file.JSON())
	} else {
		o.add(o.file)
	}
	return err
}

func (o *outputs) addSyslog(format config.SyslogFormat) {
	if o.syslog.Structured = format == config.SyslogRFC5424; o.syslog.Structured {
		o.Programs = append(o.Programs, o.syslog)
	} else {
		o.add(o.syslog)
	}
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
// is nil, and closes those that were open. Two calls at a time do not happen; the
// end may come meanwhile.
func (o *outputs) reopen(log *eventlog.Log, conf *config.Config) {
	if conf == nil {
		conf = o.conf
	}
	next := &outputs{options: o.options, stdout: o.stdout, stderr: o.stderr, file: o.file}
	faults := next.open(conf)
	o.mu.Lock()
	old := outputs{file: o.file, syslog: o.syslog, others: o.others}
	o.Outputs, o.conf, o.file, o.syslog, o.others = next.Outputs, next.conf, next.file, next.syslog, next.others
	o.mu.Unlock()
	log.SetOutputs(next.Outputs, func() { old.closeBut(next) })
	for _, err := range faults {
		log.Event(event.Fault{Err: err})
	}
}

// closeBut closes what another one does not use too. That one counts the lines
// that the log file has lost.
func (o *outputs) closeBut(other *outputs) {
	file := o.file
	if o.file == other.file {
		o.file = nil
	} else if file != nil && other.file != nil {
		other.file.TakeOver(file.Output)
	}
	o.close()
}

func (o *outputs) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
	}
	if o.syslog != nil {
		o.syslog.Close()
	}
	for _, c := range o.others {
		c.Close()
	}
}

// bounded returns a writer that loses lines, and counts them, rather than wait
// for who reads our output.
func bounded(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	o := statefile.AppendTo(f)
	o.Missing = eventlog.Lost
	return o
}

// sameFile reports whether two writers lead to the same terminal or file.
func sameFile(a, b io.Writer) bool {
	type file interface{ Stat() (fs.FileInfo, error) }
	fa, okA := a.(file)
	fb, okB := b.(file)
	if !okA || !okB {
		return false
	}
	ia, errA := fa.Stat()
	ib, errB := fb.Stat()
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}
