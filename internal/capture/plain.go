package capture

import (
	"cmp"
	"encoding/binary"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// plain receives packets one at a time, where the kernel has no ring for us.
type plain struct {
	buf     []byte
	control []byte
	raw     raw
}

// newPlain has the kernel keep so many octets of packets, 0 for RingSize.
func newPlain(fd, size int) (*plain, error) {
	size = cmp.Or(size, RingSize)
	if err := stampPackets(fd); err != nil {
		return nil, os.NewSyscallError("SO_TIMESTAMPNS", err)
	}
	// The first takes CAP_NET_ADMIN, the second stops at net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	return &plain{buf: make([]byte, 1<<16), control: make([]byte, unix.CmsgSpace(binary.Size(kernelTime{})))}, nil
}

// kernelTime is struct __kernel_timespec of linux/time_types.h, in which a time
// has 64 bits on every system.
type kernelTime struct{ Sec, Nsec int64 }

// stampPackets has the kernel say when each packet came, as a kernelTime. One
// older than Linux 5.1 says it so on 64-bit systems alone; on others packets
// have no time of their own.
func stampPackets(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	if err != unix.ENOPROTOOPT {
		return err
	}
	if strconv.IntSize == 32 {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// read implements reader.
func (p *plain) read(fd int, take func(*raw) bool) (more bool, err error) {
	for {
		// With MSG_TRUNC the length returned is the one on the wire.
		n, oobn, _, from, err := unix.Recvmsg(fd, p.buf, p.control, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case err == unix.EAGAIN:
			return false, nil
		case err == unix.EINTR || err == unix.ENETDOWN:
			continue // the second is reported once
		case err != nil:
			return false, os.NewSyscallError("recvmsg", err)
		}
		p.raw = raw{octets: slices.Clone(p.buf[:min(n, len(p.buf))]), wire: n}
		p.stamp(p.control[:oobn])
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			p.raw.ifIndex, p.raw.packetType, p.raw.hardware = ll.Ifindex, ll.Pkttype, ll.Hatype
		}
		if !take(&p.raw) {
			return true, nil
		}
	}
}

// stamp reads the time from a control message.
func (p *plain) stamp(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS_NEW && m.Header.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		var at kernelTime
		if _, err := binary.Decode(m.Data, binary.NativeEndian, &at); err == nil {
			p.raw.sec, p.raw.nsec = uint32(at.Sec), uint32(at.Nsec)
		}
	}
}

func (p *plain) close() {}
