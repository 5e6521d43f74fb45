package command

import (
	"os"

	"golang.org/x/sys/unix"
)

// wait waits for the end of a process and returns its status as a shell counts
// it. With a handle of the process (a pidfd; -1 where the kernel has none) it
// needs no thread meanwhile, as the Wait of os/exec does: where the number of
// processes is limited, threads that cannot be made would end the daemon, with
// its doors open.
func wait(pid, handle int) (status int) {
	var end unix.WaitStatus
	ended := func(options int) bool {
		for {
			switch got, err := unix.Wait4(pid, &end, options, nil); err {
			case nil:
				return got != 0
			case unix.EINTR:
			default: // somebody else has waited for it
				end = unknown
				return true
			}
		}
	}
	if handle < 0 || !whenReadable(handle, func() bool { return ended(unix.WNOHANG) }) {
		ended(0)
	}
	if end.Signaled() {
		return SignalBase + int(end.Signal())
	}
	return end.ExitStatus()
}

// unknown is the status 255 of exit.
const unknown unix.WaitStatus = 255 << 8

// whenReadable calls done now and whenever the handle, which it closes, is
// readable, until done is. It returns false if nobody can say when that is.
func whenReadable(handle int, done func() bool) bool {
	_ = unix.SetNonblock(handle, true)
	f := os.NewFile(uintptr(handle), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	return err == nil && conn.Read(func(uintptr) bool { return done() }) == nil
}
