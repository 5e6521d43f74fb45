// Command knock knocks at a host's ports, in the order that opens a door.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"knockd/internal/spa"
)

// The exit statuses.
const (
	exitOpen    = 0 // the door is open, or without --wait the knocks are sent
	exitUsage   = 1
	exitNetwork = 2 // the name, or the way to the host
	exitShut    = 3 // the door did not open in time
)

// system is what a run has of the world around it.
type system struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

func main() {
	spa.LeaveNoCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], system{os.Stdin, os.Stdout, os.Stderr, os.Getenv})
	stop()
	os.Exit(code)
}
