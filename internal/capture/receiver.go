package capture

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/packet"
)

// MaxBatch is how many packets a Source hands over at once. More may wait behind
// so many.
const MaxBatch = 256

// receiver makes packets of what a socket receives.
type receiver struct {
	reader  reader
	decoder packet.Decoder
	clock   clock
	batch   []Captured
	stacked atomic.Bool // packets may come by several interfaces
	dropped atomic.Bool // the kernel has dropped some since this was last reset
	dedup   *dedup
}

// reader takes packets from a socket.
type reader interface {
	// read calls take with each packet that is there, until that returns
	// false; it never waits. The octets stay valid until the next call. More
	// says that there may be others.
	read(fd int, take func(*raw) bool) (more bool, err error)
	close()
}

// raw is a packet as a socket receives it.
type raw struct {
	octets     []byte // from the network header on, as far as they were kept
	wire       int    // how many there were
	sec, nsec  uint32 // when, by CLOCK_REALTIME: the seconds modulo 2^32; 0, 0: not known
	ifIndex    int
	dropped    bool   // some before it were dropped
	packetType uint8  // PACKET_HOST and so on, linux/if_packet.h
	hardware   uint16 // ARPHRD_LOOPBACK and so on, linux/if_arp.h
}

func newReceiver(r reader) *receiver {
	return &receiver{reader: r, clock: clock{latest: time.Now()}, batch: make([]Captured, 0, MaxBatch)}
}

// packets returns what is there, perhaps nothing.
func (rx *receiver) packets(fd int) ([]Captured, error) {
	rx.batch = rx.batch[:0]
	var now time.Time
	for {
		more, err := rx.reader.read(fd, func(r *raw) bool {
			if now.IsZero() {
				now = time.Now()
			}
			if r.dropped {
				rx.dropped.Store(true)
			}
			rx.take(r, now)
			return len(rx.batch) < MaxBatch
		})
		if err != nil && len(rx.batch) == 0 {
			return nil, err
		}
		if len(rx.batch) > 0 || !more {
			return rx.batch, nil
		}
	}
}

// take puts a packet into the batch, if it is one.
func (rx *receiver) take(r *raw, now time.Time) {
	// What leaves through the loopback interface comes in again.
	if r.packetType == unix.PACKET_OUTGOING && r.hardware == unix.ARPHRD_LOOPBACK {
		return
	}
	p, ok := rx.decoder.Decode(r.octets, r.wire)
	if !ok {
		return
	}
	p.IfIndex = r.ifIndex
	c := Captured{Packet: p, Time: rx.clock.at(now, r.sec, r.nsec)}
	if !rx.stacked.Load() || !rx.duplicate(&c) {
		rx.batch = append(rx.batch, c)
	}
}

// duplicate reports whether a packet has come by another interface before.
func (rx *receiver) duplicate(c *Captured) bool {
	if rx.dedup == nil {
		rx.dedup = newDedup()
	}
	return rx.dedup.duplicate(c)
}

func (rx *receiver) close() { rx.reader.close() }

// clock turns the kernel's time stamps into times that never decrease, also
// when somebody sets the clock: they have a monotonic reading.
type clock struct{ latest time.Time }

// at returns the time of a packet that is read now. Of the seconds of both only
// the difference counts: 32 bits of them do in every year.
func (c *clock) at(now time.Time, sec, nsec uint32) time.Time {
	var age time.Duration
	if sec != 0 || nsec != 0 {
		age = time.Duration(int32(uint32(now.Unix())-sec))*time.Second + time.Duration(now.Nanosecond()-int(nsec))
	}
	c.latest = now.Add(-min(max(age, 0), max(now.Sub(c.latest), 0)))
	return c.latest
}
