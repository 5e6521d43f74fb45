package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/daemon"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/nft"
	"knockd/internal/statefile"
)

// serve is the daemon itself.
func (o *options) serve(ctx context.Context, conf *config.Config, reload <-chan os.Signal, stdout, stderr io.Writer) error {
	conf, state := o.inUse(conf, stderr)
	if err := o.daemonize(); err != nil {
		return err
	}
	j, err := o.openJournal(conf.StateDir, stderr)
	if err != nil {
		return err
	}
	if j != nil {
		defer statefile.Do(conf.StateDir, func(context.Context) error { return j.Close() })
	}
	outputs := &outputs{options: o, stdout: stdout, stderr: stderr}
	for _, err := range outputs.open(conf) {
		o.warn(stderr, err.Error())
	}
	defer outputs.close()
	log := eventlog.New(outputs.Outputs, conf.LogRate)
	defer log.Close()
	names, note := capture.ToListenOn(o.interfaces, conf.Interfaces)
	if note != "" {
		log.Event(event.Finding{Finding: note})
	}
	var firewall, natTable atomic.Pointer[nft.Firewall]
	settings := daemon.Options{
		Actions:    action.All(&firewall, &natTable),
		Firewall:   &firewall,
		NAT:        &natTable,
		ConfigFile: o.config,
		Interfaces: names,
		OnlyIPv4:   o.onlyV4,
		Lookup:     o.lookup,
		Log:        log,
		OnceFile:   o.onceFile(conf.StateDir, j),
		Control:    o.controlOf(conf),
		Load:       func() (*config.Config, error) { return o.loadConfig(o.path(o.config)) },
		LoadFrom:   o.loadConfig,
		Trial:      state,
		ReopenLog:  func(conf *config.Config) { outputs.reopen(log, conf) },
		Ready: func() {
			atMostThreads(serving)
			makeThreads()
			o.ready(log)
		},
		Trim:    debug.FreeOSMemory,
		Status:  notifyStatus,
		Verbose: o.verbose,
		Debug:   o.debug,
		Limits:  memoryHere().limits(),
	}
	if j != nil { // else it would be a Journal that does nothing but panic
		settings.Journal = j
		settings.Trials = o.trials(conf.StateDir)
	}
	d, err := daemon.New(conf, settings)
	if err != nil {
		return err
	}
	defer o.writePidFile(conf.PidFile, log)()
	return d.Run(ctx, reload)
}

// hangups takes SIGHUP from now on until the process ends: it would end a daemon
// that does not listen yet, or that is closing its doors.
func hangups() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals
}

// surviveReaders has writes fail when nobody reads our output any more, where
// SIGPIPE would end us with doors open. Commands get SIGPIPE as ever: a signal
// that is caught, not ignored, is none of theirs.
func surviveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
