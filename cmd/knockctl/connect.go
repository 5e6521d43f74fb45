package main

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

// socketFlag adds --socket, of each command that asks a running knockd.
func socketFlag(f *pflag.FlagSet) *string {
	return f.String("socket", control.DefaultSocket, "the control socket of knockd (ControlSocket), a `FILE`")
}

// connect connects to a running knockd.
func connect(ctx context.Context, socket string) (*client.Client, error) {
	c, err := client.Dial(ctx, socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.WithHint(err, "no knockd runs, or its socket is elsewhere: see ControlSocket, and --socket")
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, cli.WithHint(err, "the knockd that made it does not run any more")
	case errors.Is(err, fs.ErrPermission):
		return nil, cli.WithHint(err, "for root and the members of ControlGroup alone")
	}
	return c, err
}
