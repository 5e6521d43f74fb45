package server

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is who has connected, by the kernel's word at that time.
type Peer struct {
	UID  uint32
	GIDs []uint32 // the process's own group and the supplementary ones
	PID  int32    // 0: not to be seen from here
}

// peerOf asks the kernel who is at the other end.
func peerOf(conn *net.UnixConn) (p Peer, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return p, err
	}
	if ctlErr := raw.Control(func(fd uintptr) { p, err = credentials(int(fd)) }); ctlErr != nil {
		return p, ctlErr
	}
	return p, err
}

func credentials(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	groups, err := peerGroups(fd)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERGROUPS", err)
	}
	return Peer{UID: c.Uid, GIDs: append(groups, c.Gid), PID: c.Pid}, nil
}

// peerGroups returns the supplementary groups of the peer. x/sys has no call
// that returns an option of this form.
func peerGroups(fd int) ([]uint32, error) {
	const size = 4
	buf := make([]byte, 64*size)
	for {
		length := uint32(len(buf))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&length)), 0)
		switch {
		case errno == unix.ERANGE && int(length) > len(buf): // 65,536 groups at most
			buf = make([]byte, length)
			continue
		case errno != 0:
			return nil, errno
		}
		var groups []uint32
		for b := range slices.Chunk(buf[:length], size) {
			groups = append(groups, binary.NativeEndian.Uint32(b))
		}
		return groups, nil
	}
}

func (p Peer) String() string { return fmt.Sprintf("uid %d", p.UID) }
