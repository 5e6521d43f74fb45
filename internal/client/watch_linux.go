package client

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// askErrors has the kernel keep the ICMP errors that come back for a socket
// (ip(7), IP_RECVERR; of TCP while it connects, since Linux 5.9). Without them
// there is less to tell.
func askErrors(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
}

// watchControl is a net.Dialer's Control that asks for errors.
func watchControl(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { askErrors(int(fd)) })
}

// queued returns the ICMP error that has come back for a socket, if there is one.
func queued(conn net.Conn) (reply Reply, ok bool) {
	sc, isSyscall := conn.(syscall.Conn)
	if !isSyscall {
		return reply, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return reply, false
	}
	raw.Control(func(fd uintptr) { reply, ok = errorQueue(int(fd)) })
	return reply, ok
}

// keepErrors has a dialer keep what its socket knows beyond the end of the
// connection that it tries. The function that it returns must be called then; it
// adds to a note where the connection came from, and the ICMP error that came back.
func keepErrors(d *net.Dialer) (add func(*Sent) bool) {
	kept, control := -1, d.Control
	d.Control = func(network, address string, c syscall.RawConn) error {
		c.Control(func(fd uintptr) {
			if second, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
				kept = second
			}
		})
		return control(network, address, c)
	}
	return func(note *Sent) (isICMP bool) {
		if kept < 0 {
			return false
		}
		defer unix.Close(kept)
		if local, err := unix.Getsockname(kept); err == nil {
			note.From = sockaddrPort(local)
		}
		if reply, ok := errorQueue(kept); ok {
			note.Reply, isICMP = reply, true
		}
		return isICMP
	}
}

// errorQueue takes the ICMP errors of a socket and returns the first. Whoever sends
// one after the other keeps nobody here.
func errorQueue(fd int) (reply Reply, ok bool) {
	oob := make([]byte, 512)
	for range 64 {
		_, n, _, _, err := unix.Recvmsg(fd, nil, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return reply, ok
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			if r, icmp := icmpError(m); icmp && !ok {
				reply, ok = r, true
			}
		}
	}
	return reply, ok
}

// icmpError reads a struct sock_extended_err with the address of who sent the
// error behind it (linux/errqueue.h).
func icmpError(m unix.SocketControlMessage) (Reply, bool) {
	const size = 16
	v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
	v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
	if !v4 && !v6 || len(m.Data) < size {
		return Reply{}, false
	}
	origin := m.Data[4]
	r := Reply{Kind: ICMP, Type: m.Data[5], Code: m.Data[6], By: sockaddrAddr(m.Data[size:])}
	return r, origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6
}

// sockaddrAddr is the address in a struct sockaddr_in or sockaddr_in6.
func sockaddrAddr(b []byte) netip.Addr {
	switch {
	case len(b) >= 8 && binary.NativeEndian.Uint16(b) == unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case len(b) >= 24 && binary.NativeEndian.Uint16(b) == unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

// quiet readies a socket so that no more goes out than without a Watcher: what
// ends a connection that comes about is a reset in place of the last packet of the
// handshake, which is held back (tcp(7), TCP_QUICKACK).
func quiet(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// watchSYN notes a SYN that a socket has sent, and closes the socket when its reply
// is known. Failed is what connect said: ECONNREFUSED if the answer was there
// already.
func (s *Sender) watchSYN(at time.Time, to netip.AddrPort, fd int, failed error) {
	from := netip.AddrPort{}
	if local, err := unix.Getsockname(fd); err == nil {
		from = sockaddrPort(local)
	}
	s.Watch.sent(Sent{At: at, What: "tcp syn", From: from, To: to}, func() Reply {
		defer unix.Close(fd)
		if failed == nil {
			failed = awaitConnect(fd, at.Add(replyTime))
		}
		reply, isICMP := errorQueue(fd)
		switch {
		case failed == nil:
			return Reply{Kind: Accepted}
		case isICMP:
			return reply
		case errors.Is(failed, errSilent):
			return Reply{}
		case errors.Is(failed, unix.ECONNREFUSED):
			return Reply{Kind: Reset}
		}
		return Reply{Kind: Refusal, Err: failed}
	})
}

// errSilent is the error of a connection that did not come about in time.
var errSilent = errors.New("no answer")

// awaitConnect waits until a connection comes about or fails.
func awaitConnect(fd int, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return errSilent
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, int(left/time.Millisecond)+1)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && n == 0:
			continue
		case err != nil:
			return err
		}
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
			return err
		} else if code != 0 {
			return unix.Errno(code)
		}
		return nil
	}
}

func sockaddrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
