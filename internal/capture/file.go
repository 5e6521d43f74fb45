package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"knockd/internal/packet"
)

// maxPayloads is about how many octets all payloads of a batch may have.
const maxPayloads = 1 << 20

// File is a Source that reads a capture file in pcap or pcapng format.
type File struct {
	name    string
	closer  io.Closer
	frames  *frames
	reader  packetReader
	decoder packet.Decoder
	latest  time.Time
	dedup   *dedup
	batch   []Captured
	ahead   []Captured // came later than the batch; one at most
	live    bool       // a pipe, perhaps: who writes it may pause
	err     error      // returned by Next from now on
}

// packetReader is what both of gopacket's readers are.
type packetReader interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// Stdin is the name under which OpenFile reads standard input.
const Stdin = "-"

// OpenFile opens a capture file: Ethernet with or without VLAN tags, Linux
// cooked (both versions), raw IP, null or loop. Errors name the file; one that
// a fault within the file causes says where it is.
func OpenFile(name string) (*File, error) {
	f, err := os.Stdin, error(nil)
	if name == Stdin {
		name = "standard input"
	} else if f, err = os.Open(name); err != nil {
		return nil, err
	}
	c, err := newFile(name, f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	info, err := f.Stat()
	c.closer, c.live = f, err != nil || !info.Mode().IsRegular()
	return c, nil
}

func newFile(name string, r io.Reader) (*File, error) {
	c := &File{
		name:   name,
		frames: &frames{r: bufio.NewReaderSize(r, 1<<16)},
		latest: time.Unix(0, 0), // of packets that have no time of their own
		dedup:  newDedup(),
	}
	magic, err := c.frames.peek(4)
	switch {
	case err == io.EOF:
		return nil, errors.New("the file is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errNotCapture
	case err != nil:
		return nil, err
	}
	if err := c.open(magic); err != nil {
		return nil, err
	}
	return c, c.unknownLink()
}

var errNotCapture = errors.New("not a capture file: neither pcap nor pcapng")

// unknownLink returns an error if there are interfaces and the link type of
// none of them is known. One among others (USB, perhaps) is passed over.
func (c *File) unknownLink() error {
	if len(c.frames.links) == 0 || slices.ContainsFunc(c.frames.links, linkType.known) {
		return nil
	}
	return fmt.Errorf("link type %d is not known", uint16(c.frames.links[0]))
}

// open makes the reader for the format that the file's first octets name.
func (c *File) open(magic []byte) (err error) {
	defer recovered(&err)
	switch binary.LittleEndian.Uint32(magic) {
	case 0xa1b2c3d4, 0xa1b23c4d:
		c.frames.order, c.frames.next = binary.LittleEndian, pcapHeader
	case 0xd4c3b2a1, 0x4d3cb2a1:
		c.frames.order, c.frames.next = binary.BigEndian, pcapHeader
	case blockSection:
		c.frames.next, c.frames.check = pcapngBlock, pcapngCheck
		c.reader, err = pcapgo.NewNgReader(c.frames, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		return err
	default:
		return errNotCapture
	}
	r, err := pcapgo.NewReader(c.frames)
	if err != nil {
		return err
	}
	// What the header says is not always kept to; the largest record is limited
	// in any case. The reader makes room for one of this length.
	r.SetSnaplen(frameLimit)
	c.reader = r
	return nil
}

// recovered turns a panic into an error: gopacket's pcapng reader trusts the
// lengths of options and the resolution of time stamps.
func recovered(err *error) {
	if recover() != nil {
		*err = errors.New("malformed: options that cannot be read")
	}
}

// Next implements Source: it returns packets that came together, as Live does in
// a flood, when it lets them gather. No time is less than that of the packet
// before. Packets that a pipe has brought do not wait for others. They have no
// Octets; their payloads stay valid.
func (c *File) Next() ([]Captured, error) {
	c.batch = append(c.batch[:0], c.ahead...)
	c.ahead = c.ahead[:0]
	for held := 0; len(c.batch) < MaxBatch && held < maxPayloads; held += len(c.batch[len(c.batch)-1].Payload) {
		p, ok := c.packet(len(c.batch) > 0)
		if !ok {
			break
		}
		if len(c.batch) > 0 && p.Time.Sub(c.batch[0].Time) >= coalesceTime {
			c.ahead = append(c.ahead, p)
			break
		}
		c.batch = append(c.batch, p)
	}
	if len(c.batch) == 0 {
		return nil, c.err
	}
	return c.batch, nil
}

// packet returns the next packet, if there is one before an error and, where others
// wait for it, if it is there.
func (c *File) packet(othersWait bool) (p Captured, ok bool) {
	for c.err == nil && !(c.live && othersWait && !c.frames.ready()) {
		frame, info, err := c.read()
		if err != nil {
			c.err = c.describe(err)
			break
		}
		if p, ok := c.decode(frame, info); ok {
			p.Payload, p.Octets = bytes.Clone(p.Payload), nil // keeps no frame, however large
			return p, true
		}
	}
	return p, false
}

// Close implements Source.
func (c *File) Close() error {
	c.err = os.ErrClosed
	return c.closer.Close()
}

func (c *File) read() (frame []byte, info gopacket.CaptureInfo, err error) {
	defer recovered(&err)
	return c.reader.ZeroCopyReadPacketData()
}

// describe words the error of a reader.
func (c *File) describe(err error) error {
	if err == io.EOF {
		return io.EOF
	}
	var cut errCutShort
	if errors.As(err, &cut) {
		return fmt.Errorf("read %s: %w", c.name, err)
	}
	return fmt.Errorf("read %s: before octet %d: %w", c.name, c.frames.offset, err)
}

// decode returns the packet in a frame, if it is one.
func (c *File) decode(frame []byte, info gopacket.CaptureInfo) (captured Captured, ok bool) {
	if info.InterfaceIndex >= len(c.frames.links) {
		return captured, false
	}
	link := c.frames.links[info.InterfaceIndex]
	if !link.known() {
		if err := c.unknownLink(); err != nil {
			c.err = fmt.Errorf("read %s: %w", c.name, err)
		}
		return captured, false
	}
	offset, ifIndex, ok := link.network(frame)
	if !ok {
		return captured, false
	}
	p, ok := c.decoder.Decode(frame[offset:], info.Length-offset)
	if !ok {
		return captured, false
	}
	if p.IfIndex = ifIndex; ifIndex == 0 && len(c.frames.links) > 1 {
		p.IfIndex = info.InterfaceIndex + 1
	}
	if info.Timestamp.After(c.latest) {
		c.latest = info.Timestamp
	}
	captured = Captured{Packet: p, Time: c.latest}
	return captured, !c.dedup.duplicate(&captured)
}
