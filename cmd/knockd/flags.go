package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"knockd/internal/capture"
)

// Defaults of knockd 0.8.
const (
	defaultConfig  = "/etc/knockd.conf"
	defaultPidFile = "/var/run/knockd.pid"
)

// options is the command line.
type options struct {
	flags *pflag.FlagSet

	interfaces []string
	daemon     bool
	config     string
	debug      bool
	lookup     bool
	pidFile    string
	logFile    string
	verbose    bool
	onlyV4     bool
	version    bool
	check      bool
	effective  bool
	read       string
	addresses  []string
	closeAll   bool
	force      bool
	guard      bool
	cleanup    bool

	dir       string // where the program was started
	inherited inherited
	waiting   int // in the background: where its start is waited for; else 0
	warnings  int // that were printed
}

// parseFlags reads the command line. The options it returns can print their
// usage even if there is an error.
func parseFlags(args []string) (*options, error) {
	o := &options{flags: pflag.NewFlagSet("knockd", pflag.ContinueOnError)}
	f := o.flags
	f.SortFlags = false
	f.Usage = func() {}
	f.StringSliceVarP(&o.interfaces, "interface", "i", nil,
		"network `interface` to listen on, or several (default \""+capture.DefaultInterface+"\")")
	f.BoolVarP(&o.daemon, "daemon", "d", false, "run as a daemon")
	f.StringVarP(&o.config, "config", "c", defaultConfig, "use an alternate configuration `file`")
	f.BoolVarP(&o.debug, "debug", "D", false, "say what is read, and every packet that could be a knock")
	f.BoolVarP(&o.lookup, "lookup", "l", false, "look up host names for the log (may be a security risk)")
	f.StringVarP(&o.pidFile, "pidfile", "p", defaultPidFile, "use an alternate pid `file`")
	f.StringVarP(&o.logFile, "logfile", "g", "", "log to this `file`")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard output what happens")
	f.BoolVarP(&o.onlyV4, "only-ip-v4", "4", false, "ignore IPv6")
	f.BoolVarP(&o.check, "check", "t", false, "check the configuration and exit")
	f.BoolVarP(&o.effective, "effective", "T", false, "print the configuration as it takes effect, without secrets, and exit")
	f.StringVarP(&o.read, "read", "r", "", "decide on the packets of a capture `file`; run nothing")
	f.StringSliceVar(&o.addresses, "address", nil, "with --read: a local `address` (default: those of the interface)")
	f.BoolVar(&o.closeAll, "close-all", false, "close every door that a stopped daemon has left open, and exit")
	f.BoolVar(&o.force, "force", false, "with --close-all: although OnStop = keep; with --cleanup: stop the daemon first")
	f.BoolVar(&o.guard, "guard", false, "close the ports of native doors to all, and exit")
	f.BoolVar(&o.cleanup, "cleanup", false, "take out of the kernel all that knockd put there, and exit")
	f.BoolP("save-memory", "s", false, "ignored: some packaged versions of knockd 0.8 have it")
	f.Lookup("save-memory").Hidden = true
	f.BoolVarP(&o.version, "version", "V", false, "print the version and exit")
	help := f.BoolP("help", "h", false, "print this help and exit")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *help {
		return o, pflag.ErrHelp
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err := o.checkInterfaces(); err != nil {
		return o, err
	}
	return o, o.conflict()
}

// conflict says which options do not go together.
func (o *options) conflict() error {
	instead := 0
	for _, given := range []bool{o.check, o.effective, o.read != "", o.closeAll, o.guard, o.cleanup} {
		if given {
			instead++
		}
	}
	switch {
	case instead > 1:
		return errors.New("only one of --check, --effective, --read, --close-all, --guard and --cleanup can be done at a time")
	case o.effective && o.debug:
		return errors.New("--debug shows the sequences, which --effective leaves out: one or the other")
	case len(o.addresses) > 0 && o.read == "":
		return errors.New("--address goes with --read")
	case o.force && !o.closeAll && !o.cleanup:
		return errors.New("--force goes with --close-all or --cleanup")
	}
	return nil
}

// serves reports whether the daemon is to run, and nothing else is asked for.
func (o *options) serves() bool {
	return !o.check && !o.effective && o.read == "" && !o.closeAll && !o.guard && !o.cleanup
}

func usage(o *options) string {
	// pflag would advertise -D[=true|false], which nobody writes.
	flags := strings.ReplaceAll(o.flags.FlagUsages(), "[=true|false]", "             ")
	return "usage: knockd [options]\noptions:\n" + flags
}
