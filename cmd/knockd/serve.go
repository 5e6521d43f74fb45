package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"knockd/internal/config"
	"knockd/internal/daemon"
	"knockd/internal/eventlog"
)

// serve is the daemon itself.
func (o *options) serve(ctx context.Context, conf *config.Config, stdout, stderr io.Writer) error {
	if err := o.settle(); err != nil {
		return err
	}
	journal, err := o.openJournal(conf.StateDir, stderr)
	if err != nil {
		return err
	}
	if journal != nil {
		defer journal.Close()
	}
	outputs := &outputs{options: o, stdout: stdout, stderr: stderr}
	outputs.open(conf)
	defer outputs.close()
	log := eventlog.New(outputs.Outputs, conf.LogRate)
	defer log.Close()
	names, note := o.interfacesOf(conf)
	if note != "" {
		log.Warn(note)
	}
	settings := daemon.Options{
		ConfigFile: o.config,
		Interfaces: names,
		OnlyIPv4:   o.onlyV4,
		Lookup:     o.lookup,
		Log:        log,
		Journal:    journal,
		OnceFile:   o.onceFile(conf.StateDir, journal),
		Load:       func() (*config.Config, error) { return o.loadConfig(o.path(o.config)) },
		ReopenLog:  func(conf *config.Config) { outputs.reopen(log, conf) },
		Ready: func() {
			o.ready()
			go debug.FreeOSMemory() // what reading the configuration took
		},
		Status: notifyStatus,
	}
	if o.verbose {
		settings.Verbose = stdout
	}
	if o.debug {
		settings.Debug = stdout
	}
	d, err := daemon.New(conf, settings)
	if errors.Is(err, os.ErrPermission) {
		return hinted(err, "run as root, or give the capability CAP_NET_RAW (setcap cap_net_raw=ep, "+
			"AmbientCapabilities= in the unit, --cap-add NET_RAW)")
	}
	if err != nil {
		return err
	}
	remove, err := o.writePidFile(conf.PidFile)
	if err != nil {
		return err
	}
	defer remove()
	return d.Run(ctx, hangups(ctx))
}

// hangups gives a value for each SIGHUP until ctx ends.
func hangups(ctx context.Context) <-chan struct{} {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	out := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
			select {
			case out <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
