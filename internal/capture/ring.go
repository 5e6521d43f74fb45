package capture

import (
	"cmp"
	"math/bits"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RingSize is how many octets of packets may wait to be read, where memory is not
// short. A ring whose frames hold more than headers is twice as large, since it
// has far fewer of them.
const RingSize = 4 << 20

const (
	blockSize = 64 << 10 // octets, a multiple of every frame's
	minFrame  = 256
	maxFrame  = 8 << 10
	// frameHead is what precedes a packet in its frame: struct tpacket2_hdr,
	// struct sockaddr_ll and 16 octets, each aligned (TPACKET2_HDRLEN of
	// linux/if_packet.h, and tpacket_rcv in net/packet/af_packet.c).
	frameHead = 80
	// maxHeld is how many frames are kept from the kernel at a time, of a small
	// ring at most half.
	maxHeld = 1024
)

// ring is the memory that the kernel writes packets into: TPACKET_V2 of
// linux/if_packet.h. It delivers each packet at once (V3 waits for a block to
// fill), and reading costs no system call. Packets longer than a frame come a
// second time, whole, through the socket's queue.
type ring struct {
	memory []byte
	size   int // of a frame, octets
	count  int // frames
	next   int // the frame to be read next
	held   int // frames before it that were not given back
	raw    raw
}

// openRing is newRing; tests put in its place a kernel that has no ring.
var openRing = newRing

// newRing maps a ring whose frames hold the longest packet that has so many
// octets of payload, of a size in octets, 0 for RingSize.
func newRing(fd, payload, size int) (*ring, error) {
	frame := min(max(minFrame, 1<<bits.Len(uint(frameHead+headers+payload-1))), maxFrame)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, os.NewSyscallError("PACKET_VERSION", err)
	}
	// Any number but 0 asks for long packets through the queue.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_COPY_THRESH, 1); err != nil {
		return nil, os.NewSyscallError("PACKET_COPY_THRESH", err)
	}
	size = max(cmp.Or(size, RingSize)/blockSize, 1) * blockSize
	if frame > minFrame {
		size *= 2
	}
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: uint32(size / blockSize),
		Frame_size: uint32(frame), Frame_nr: uint32(size / frame),
	}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, os.NewSyscallError("PACKET_RX_RING", err)
	}
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{})
		return nil, os.NewSyscallError("mmap", err)
	}
	return &ring{memory: memory, size: frame, count: size / frame}, nil
}

// header returns the header of a frame, whose status tells whose it is.
func (r *ring) header(frame int) *unix.Tpacket2Hdr {
	return (*unix.Tpacket2Hdr)(unsafe.Pointer(&r.memory[frame*r.size]))
}

// read implements reader.
func (r *ring) read(fd int, take func(*raw) bool) (more bool, err error) {
	r.giveBack()
	for r.held < min(maxHeld, r.count/2) {
		status := atomic.LoadUint32(&r.header(r.next).Status)
		if status&unix.TP_STATUS_USER == 0 {
			return false, nil
		}
		r.raw = r.packet(r.next)
		if status&unix.TP_STATUS_COPY != 0 {
			r.receiveWhole(fd)
		}
		r.next = (r.next + 1) % r.count
		r.held++
		if !take(&r.raw) {
			break
		}
	}
	return true, nil
}

// giveBack returns the frames read before to the kernel.
func (r *ring) giveBack() {
	for ; r.held > 0; r.held-- {
		first := (r.next - r.held + r.count) % r.count
		atomic.StoreUint32(&r.header(first).Status, unix.TP_STATUS_KERNEL)
	}
}

// packet returns what is in a frame.
func (r *ring) packet(frame int) raw {
	h := r.header(frame)
	begin := frame*r.size + int(h.Net)
	from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&r.memory[frame*r.size+unix.SizeofTpacket2Hdr]))
	return raw{
		octets:     r.memory[begin : begin+int(h.Snaplen) : (frame+1)*r.size],
		wire:       int(h.Len),
		sec:        h.Sec,
		nsec:       h.Nsec,
		dropped:    h.Status&unix.TP_STATUS_LOSING != 0,
		ifIndex:    int(from.Ifindex),
		packetType: from.Pkttype,
		hardware:   from.Hatype,
	}
}

// receiveWhole takes the whole packet from the socket's queue. Should that
// fail, as much as fitted into the frame has to do.
func (r *ring) receiveWhole(fd int) {
	buf := make([]byte, r.raw.wire)
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if err == nil && n > len(r.raw.octets) {
		r.raw.octets = buf[:n]
	}
}

func (r *ring) close() {
	if r.memory != nil {
		unix.Munmap(r.memory)
		r.memory = nil
	}
}
