//go:build !windows

package client

import (
	"errors"
	"syscall"
)

// IsRefused reports whether a connection attempt failed because the other side
// said no.
func IsRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// IsUnreachable reports whether a packet could not be sent, or came back, for
// want of a way to the host.
func IsUnreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
