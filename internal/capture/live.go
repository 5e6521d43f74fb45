package capture

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
)

// Live is a Source that reads from a packet socket (packet(7)). The kernel
// strips the link header, so that all kinds of interfaces look alike, and
// delivers packets before the host's firewall judges them. While the one
// interface that it listens on is down, or when it is no more, there is
// silence, not an error: the kernel tells a socket of the first only.
type Live struct {
	name     string
	log      func(event.Event)
	file     *os.File
	conn     syscall.RawConn
	wait     *waiter
	receiver *receiver
	pace     pace // of Next

	mu         sync.Mutex // guards what follows
	spec       FilterSpec
	interfaces []int // see Bind
	warned     bool  // that the filter is coarser than it should be
	drops      uint64
	lent       bool // Next is running, or its packets may be in use
	closed     bool
}

// Listen opens a packet socket for what is wanted; it receives nothing before
// Bind. It takes the capability CAP_NET_RAW. In errors and log lines it bears
// the given name. The log function, which may be called from any goroutine, is
// told once of each thing that makes capturing dearer and does not end it.
func Listen(name string, w *FilterSpec, log func(event.Event)) (*Live, error) {
	l := &Live{name: name, log: log, interfaces: []int{}, spec: *w}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, l.failed("open", os.NewSyscallError("socket", err))
	}
	// Since it blocks, the runtime's poll leaves it to the waiter.
	l.file = os.NewFile(uintptr(fd), name)
	if l.conn, err = l.file.SyscallConn(); err == nil {
		err = l.control(l.prepare)
	}
	if err != nil {
		if l.wait != nil {
			l.wait.close()
		}
		l.file.Close()
		return nil, l.failed("open", err)
	}
	return l, nil
}

// Any is the name that stands for all interfaces, as for libpcap.
const Any = "any"

func (l *Live) failed(doing string, err error) error {
	return fmt.Errorf("%s %s for capture: %w", doing, l.name, err)
}

// control runs a function on the descriptor, unless the socket is closed.
func (l *Live) control(f func(fd int) error) error {
	var err error
	if e := l.conn.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return os.ErrClosed
	}
	return err
}

// prepare readies the socket. It has no protocol yet and so receives nothing.
func (l *Live) prepare(fd int) error {
	err := l.filter(fd)
	if err == nil {
		l.wait, err = newWaiter(fd, l.name)
	}
	if err != nil {
		return err
	}
	r, err := openRing(fd, l.spec.MaxPayload(), l.spec.Ring)
	if err == nil {
		l.receiver = l.newReceiver(r)
		return nil
	}
	l.log(event.CaptureSlower{Interface: l.name, Err: err})
	p, err := newPlain(fd, l.spec.Ring)
	l.receiver = l.newReceiver(p)
	return err
}

func (l *Live) newReceiver(r reader) *receiver {
	rx := newReceiver(r)
	rx.decoder.Any = l.spec.From.IsValid()
	return rx
}

// Bind says which interfaces are listened on, by their indexes: nil stands
// for all there are and will be, none for silence. An interface that goes down
// and up again needs no new Bind, one that vanishes and returns does.
func (l *Live) Bind(indexes []int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.control(func(fd int) error { return l.bind(fd, indexes) }); err != nil {
		return l.failed("bind", err)
	}
	return nil
}

// bind binds to the only interface, so that others cost nothing, or to all
// and leaves it to the filter to choose.
func (l *Live) bind(fd int, indexes []int) error {
	index := 0
	if len(indexes) == 1 {
		index = indexes[0]
	}
	silent := indexes != nil && len(indexes) == 0
	bound := silent || boundTo(fd) == index
	if bound && slices.Equal(indexes, l.interfaces) && (indexes == nil) == (l.interfaces == nil) {
		return nil
	}
	l.interfaces = slices.Clone(indexes)
	l.receiver.stacked.Store(len(indexes) != 1)
	if bound {
		return l.filter(fd)
	}
	// Nothing passes until the filter fits.
	if err := attach(fd, []bpf.Instruction{bpf.RetConstant{Val: 0}}); err != nil {
		return err
	}
	addr := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}
	if err := unix.Bind(fd, addr); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return l.filter(fd)
}

// boundTo returns the index of the interface that a socket is bound to: 0 for
// all, -1 for none, be it that there never was one or that it is gone.
func boundTo(fd int) int {
	sa, err := unix.Getsockname(fd)
	if ll, ok := sa.(*unix.SockaddrLinklayer); ok && err == nil && ll.Protocol != 0 {
		return ll.Ifindex
	}
	return -1
}

// SetFilter says what is wanted from now on. No packet that is wanted before
// and after is lost.
func (l *Live) SetFilter(w *FilterSpec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spec = *w
	if err := l.control(l.filter); err != nil {
		return l.failed("filter", err)
	}
	return nil
}

// filter attaches the finest filter that the kernel takes.
func (l *Live) filter(fd int) error {
	w := l.spec
	w.interfaces = l.interfaces
	if len(l.interfaces) == 1 {
		w.interfaces = nil // bound to
	} else {
		// Which of several interfaces a packet left by says nothing new: it
		// came in by one of them, or is the host's own.
		w.Outgoing = false
	}
	// Before Linux 4.20 there is no such option, and the filter does it.
	unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, boolInt(!w.Outgoing))
	refused, err := attachFinest(&w, func(prog []bpf.Instruction) error { return attach(fd, prog) })
	if refused != nil && !l.warned {
		l.warned = true
		l.log(event.CaptureSlower{Interface: l.name, Err: refused, Filter: true})
	}
	return err
}

// attachFinest attaches the finest filter that the kernel takes; refused is
// why it is not the best one.
func attachFinest(w *FilterSpec, attach func([]bpf.Instruction) error) (refused, err error) {
	at := func(limit int) error {
		prog, err := compile(w, limit)
		if err != nil {
			return err
		}
		return attach(prog)
	}
	tooLarge := func(err error) bool { return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINVAL) }
	if err = at(maxInstructions); !tooLarge(err) {
		return nil, err
	}
	refused = err
	// The kernel charges for the old and the new one together: a small one in
	// between may leave enough room.
	if err = at(minInstructions); err != nil {
		return refused, err
	}
	if at(maxInstructions) == nil {
		return nil, nil
	}
	at(maxInstructions / 4)
	return refused, nil
}

// Next implements Source.
func (l *Live) Next() ([]Captured, error) {
	l.mu.Lock()
	l.lent = true
	l.mu.Unlock()
	batch, err := l.gather()
	if len(batch) == 0 && err == nil {
		batch, err = l.listen()
	}
	if err != nil {
		return nil, l.ended(err)
	}
	l.pace.handed(len(batch), time.Now())
	return batch, nil
}

// gather lets packets gather, if they come one close upon the other, and
// returns them.
func (l *Live) gather() (batch []Captured, err error) {
	changed, coalescing := l.pace.change()
	if changed {
		if err = l.control(func(fd int) error { return l.wait.listen(fd, !coalescing) }); err != nil {
			return nil, err
		}
	}
	if !coalescing {
		return nil, nil
	}
	if !l.pace.full {
		time.Sleep(coalesceTime)
	}
	err = l.control(func(fd int) error {
		batch, err = l.receiver.packets(fd)
		if len(batch) == 0 && err == nil {
			l.pace.calm()
			err = l.wait.listen(fd, true)
		}
		return err
	})
	return batch, err
}

// listen waits for packets.
func (l *Live) listen() (batch []Captured, err error) {
	woken := false
	ended := l.wait.wait(func() bool {
		err = l.control(func(fd int) error {
			batch, err = l.receiver.packets(fd)
			if len(batch) == 0 && err == nil && woken {
				err = fault(fd)
			}
			return err
		})
		woken = true
		return len(batch) > 0 || err != nil
	})
	if err == nil {
		err = ended
	}
	return batch, err
}

// fault returns the error that woke a reader, if it ends the capture.
func fault(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case errno == 0 || syscall.Errno(errno) == unix.ENETDOWN:
		return nil
	}
	return syscall.Errno(errno)
}

// ended words the error that ends Next, and gives back what it used.
func (l *Live) ended(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent = false
	if l.closed {
		l.receiver.close()
		return os.ErrClosed
	}
	return fmt.Errorf("capture on %s: %w", l.name, err)
}

// Close implements Source. Memory that packets in use lie in is given back by
// the call of Next that follows.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.closed = true
	err := l.wait.close()
	l.file.Close()
	if !l.lent {
		l.receiver.close()
	}
	return err
}

// HasDrops reports whether Drops has something new to tell, as far as the packets
// returned by Next show. It costs nothing. Without a ring it is always false.
func (l *Live) HasDrops() bool { return l.receiver.dropped.Load() }

// Drops returns how many wanted packets the kernel has dropped since Listen
// because they were not read fast enough.
func (l *Live) Drops() (uint64, error) {
	l.receiver.dropped.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.control(func(fd int) error {
		s, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil {
			l.drops += uint64(s.Drops) // reading sets it to 0
		}
		return os.NewSyscallError("getsockopt", err)
	})
	return l.drops, err
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
