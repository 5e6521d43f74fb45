package client

import (
	"errors"

	"golang.org/x/sys/windows"
)

// IsRefused reports whether a connection attempt failed because the other side
// said no.
func IsRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// IsUnreachable reports whether a packet could not be sent, or came back, for
// want of a way to the host.
func IsUnreachable(err error) bool {
	return errors.Is(err, windows.WSAENETUNREACH) || errors.Is(err, windows.WSAEHOSTUNREACH) ||
		errors.Is(err, windows.WSAENETDOWN) || errors.Is(err, windows.WSAEADDRNOTAVAIL)
}
