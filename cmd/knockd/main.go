// Command knockd is a port-knock server: a drop-in for knockd 0.8.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/action/command"
	"knockd/internal/cli"
)

// Exit statuses.
const (
	exitOK    = 0
	exitFault = 1 // configuration, capture or privilege
	exitUsage = 2
)

// The kernel gives a signal to the first thread, whatever that waits for. So it
// does nothing but wait: a disk that does not answer keeps no signal.
func init() { runtime.LockOSThread() }

func main() {
	atMostThreads(reading)
	memoryHere().spare()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := make(chan int)
	go func() { code <- run(ctx, os.Args[1:], os.Stdout, os.Stderr) }()
	status := <-code
	stop()
	os.Exit(status)
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usage(o))
		return exitOK
	case err != nil:
		printError(stderr, cli.Usage(err, "knockd --help lists the options"))
		return exitUsage
	case o.version:
		cli.PrintVersion(stdout, "knockd")
		return exitOK
	}
	if o.mayDetach() {
		return detach(ctx, args, stderr)
	}
	if o.serves() {
		stdout, stderr = bounded(stdout), bounded(stderr)
	}
	o.inherited = keepInherited()
	if err := command.LeaveNoCore(); err != nil {
		speaker(stderr).Warn(err.Error(), "")
	}
	if err := o.do(ctx, stdout, stderr); err != nil {
		printError(stderr, err)
		notifyStatus("ended: " + strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
		return exitFault
	}
	return exitOK
}

// do does what the options ask for.
func (o *options) do(ctx context.Context, stdout, stderr io.Writer) error {
	if err := o.absolute(); err != nil {
		return err
	}
	switch {
	case o.closeAll:
		return o.closeEverything(ctx, stdout, stderr)
	case o.cleanup:
		return o.takeOut(ctx, stdout, stderr)
	}
	var reload <-chan os.Signal
	if o.serves() {
		surviveReaders()
		reload = hangups()
	} else { // nothing to put in order: a signal ends it, whatever it waits for
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}
	conf, err := o.load(stdout, stderr)
	if err != nil {
		return err
	}
	switch {
	case o.check:
		return o.sayChecked(conf, stdout, stderr)
	case o.effective:
		return o.sayEffective(conf, stdout)
	case o.read != "":
		return o.replay(conf, stdout)
	case o.guard:
		return o.sayGuarded(conf, stdout, stderr)
	}
	return o.serve(ctx, conf, reload, stdout, stderr)
}
