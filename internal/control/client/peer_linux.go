package client

import (
	"net"

	"golang.org/x/sys/unix"
)

// listenerOf returns the process that listens at the other end; 0 if it is not to
// be seen from here.
func listenerOf(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(c.Pid)
		}
	})
	return pid
}
