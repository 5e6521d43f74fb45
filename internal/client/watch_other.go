//go:build !linux

package client

import (
	"net"
	"syscall"
)

// watchControl is a net.Dialer's Control that has nothing to ask for: of ICMP
// errors these systems say no more than what a call returns.
func watchControl(_, _ string, _ syscall.RawConn) error { return nil }

// queued: see watchControl.
func queued(net.Conn) (Reply, bool) { return Reply{}, false }

// keepErrors: see watchControl.
func keepErrors(*net.Dialer) (add func(*Sent) bool) {
	return func(*Sent) bool { return false }
}
