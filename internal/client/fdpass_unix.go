//go:build !windows

package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// PassFile hands a connection over to the process at the other end of a Unix
// socket (unix(7), SCM_RIGHTS), as ssh's ProxyUseFdpass expects it on the
// standard output.
func PassFile(socket *os.File, conn net.Conn) error {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("pass connection: %w", errors.ErrUnsupported)
	}
	c, err := raw.SyscallConn()
	if err != nil {
		return fmt.Errorf("pass connection: %w", err)
	}
	cerr := c.Control(func(fd uintptr) {
		// What we pass on is shared with this descriptor, its modes too, and
		// a socket is taken to be in the mode in which socket(2) makes it.
		unix.SetNonblock(int(fd), false)
		err = unix.Sendmsg(int(socket.Fd()), []byte{0}, unix.UnixRights(int(fd)), nil, 0)
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("pass connection: %w", err)
	}
	return nil
}
