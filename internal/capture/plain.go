package capture

import (
	"encoding/binary"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plain receives packets one at a time, where the kernel has no ring for us.
type plain struct {
	buf     []byte
	control []byte
	raw     raw
}

func newPlain(fd int) (*plain, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, os.NewSyscallError("SO_TIMESTAMPNS", err)
	}
	// The first takes CAP_NET_ADMIN, the second stops at net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ringSize) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, ringSize)
	}
	return &plain{buf: make([]byte, 1<<16), control: make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{}))))}, nil
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
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS {
			var ts unix.Timespec
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &ts); err == nil {
				p.raw.sec, p.raw.nsec = uint32(ts.Sec), uint32(ts.Nsec)
			}
		}
	}
}

func (p *plain) close() {}
