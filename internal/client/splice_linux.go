package client

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is what an ordinary user may make a pipe hold (pipe(7),
// pipe-max-size).
const pipeSize = 1 << 20

// bulk is how many octets at once tell a transfer from a person who types. Of
// a transfer more is let gather, so that the moving leaves the processors to
// the cryptography of the processes at both ends.
const bulk = 64 << 10

var gather = unix.NsecToTimespec(int64(500 * time.Microsecond))

// spliceIn moves what comes from a pipe to a connection inside the kernel
// (splice(2)), up to the pipe's end. Not done: one of them is something else.
func spliceIn(conn net.Conn, in io.Reader) (done bool, err error) {
	pipe, raw, ok := pipeAndSocket(in, conn)
	if !ok {
		return false, nil
	}
	return splice(pipe, unix.POLLIN, func(move func(int) bool) error {
		return raw.Write(func(fd uintptr) bool { return move(int(fd)) })
	}, func(socket int) (int64, error) {
		n, err := unix.Splice(pipe, nil, socket, nil, pipeSize, unix.SPLICE_F_NONBLOCK)
		return int64(n), err // an int on 32-bit systems
	})
}

// spliceOut is spliceIn from a connection to a pipe.
func spliceOut(out io.Writer, conn net.Conn) (done bool, err error) {
	pipe, raw, ok := pipeAndSocket(out, conn)
	if !ok {
		return false, nil
	}
	return splice(pipe, unix.POLLOUT, func(move func(int) bool) error {
		return raw.Read(func(fd uintptr) bool { return move(int(fd)) })
	}, func(socket int) (int64, error) {
		n, err := unix.Splice(socket, nil, pipe, nil, pipeSize, unix.SPLICE_F_NONBLOCK)
		return int64(n), err // an int on 32-bit systems
	})
}

// pipeAndSocket returns both ends, if they are what they must be, and makes
// the pipe hold more, so that the processes at its ends take turns less often.
func pipeAndSocket(end any, conn net.Conn) (pipe int, raw syscall.RawConn, ok bool) {
	file, isFile := end.(*os.File)
	tcp, isTCP := conn.(*net.TCPConn)
	if !isFile || !isTCP {
		return 0, nil, false
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return 0, nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, nil, false
	}
	pipe = int(file.Fd())
	unix.FcntlInt(uintptr(pipe), unix.F_SETPIPE_SZ, pipeSize)
	return pipe, raw, true
}

// splice moves until the end. Each time it first waits for the pipe, and only
// then, inside wait, for the socket: a call that slept on the pipe there would
// keep the connection from being closed. So EAGAIN always means the socket.
func splice(pipe int, ready int16, wait func(move func(int) bool) error, move func(socket int) (int64, error)) (done bool, err error) {
	for {
		if err := pollPipe(pipe, ready); err != nil {
			return true, os.NewSyscallError("poll", err)
		}
		var n int64
		var moved error
		if err := wait(func(socket int) bool {
			n, moved = move(socket)
			return moved != unix.EAGAIN
		}); err != nil {
			return true, err
		}
		switch {
		case moved == unix.EINTR:
		case moved != nil:
			return true, os.NewSyscallError("splice", moved)
		case n == 0:
			return true, nil
		case n >= bulk:
			unix.Nanosleep(&gather, nil)
		}
	}
}

// pollPipe sleeps until the pipe is ready.
func pollPipe(pipe int, ready int16) error {
	for {
		fds := []unix.PollFd{{Fd: int32(pipe), Events: ready}}
		_, err := unix.Poll(fds, -1)
		if err != unix.EINTR {
			return err
		}
	}
}
