package capture

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// waiter waits for a socket through a poll of its own, epoll(7), which the
// runtime's poll watches in turn. While it is told not to listen a packet
// wakes nobody: the runtime's poll alone would wake a thread for each.
type waiter struct {
	file *os.File // the epoll
	conn syscall.RawConn
}

func newWaiter(fd int, name string) (*waiter, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Non-blocking, it obeys the runtime's poll: Close wakes who waits.
	if err = unix.SetNonblock(epoll, true); err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	w := &waiter{file: os.NewFile(uintptr(epoll), name)}
	if err == nil {
		w.conn, err = w.file.SyscallConn()
	}
	if err != nil {
		w.file.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return w, nil
}

// listen reports whether packets wake who waits from now on. What is there
// already does too.
func (w *waiter) listen(fd int, yes bool) error {
	e := unix.EpollEvent{Fd: int32(fd)}
	if yes {
		e.Events = unix.EPOLLIN
	}
	var err error
	if closed := w.conn.Control(func(epoll uintptr) {
		err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, fd, &e)
	}); closed != nil {
		return os.ErrClosed
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// wait calls ready until it returns true, again each time that packets or an
// error may have come. It ends early if the waiter is closed.
func (w *waiter) wait(ready func() bool) error {
	return w.conn.Read(func(uintptr) bool { return ready() })
}

func (w *waiter) close() error { return w.file.Close() }
