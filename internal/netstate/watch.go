package netstate

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Watcher follows what there is.
type Watcher struct {
	events  *netlink.Conn // notifications
	queries *netlink.Conn // dumps
	routes  bool
	table   *table
	changes chan *State
	done    chan struct{}
	close   sync.Once
	err     error // valid when changes is closed
}

// Read returns what there is now.
func Read() (*State, error) {
	q, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("read the interfaces: %w", err)
	}
	defer q.Close()
	t, err := dump(q, true)
	if err != nil {
		return nil, fmt.Errorf("read the interfaces: %w", err)
	}
	return t.state(), nil
}

// Watch returns a Watcher and what there is now. The default route is
// followed only if routes is true. It belongs to the network namespace of the
// thread that calls it and needs no privilege.
func Watch(routes bool) (*Watcher, *State, error) {
	w := &Watcher{routes: routes, changes: make(chan *State, 1), done: make(chan struct{})}
	if err := w.dial(); err != nil {
		w.hangUp()
		return nil, nil, fmt.Errorf("watch the interfaces: %w", err)
	}
	first := w.table.state()
	go w.run(first)
	return w, first, nil
}

// dial subscribes first and reads then, so that nothing is missed in between.
func (w *Watcher) dial() (err error) {
	groups := []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR}
	if w.routes {
		groups = append(groups, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	}
	if w.events, err = netlink.Dial(unix.NETLINK_ROUTE, nil); err != nil {
		return err
	}
	if err = w.events.SetBPF(defaultRoutesOnly()); err != nil {
		return err
	}
	for _, g := range groups {
		if err = w.events.JoinGroup(g); err != nil {
			return err
		}
	}
	if w.queries, err = netlink.Dial(unix.NETLINK_ROUTE, nil); err != nil {
		return err
	}
	w.table, err = dump(w.queries, w.routes)
	return err
}

// defaultRoutesOnly returns a filter for notifications: of all that is told of
// routes, which may be thousands a second where they are exchanged with
// others, only default routes pass (dst_len 0 in struct rtmsg).
func defaultRoutesOnly() []bpf.RawInstruction {
	const typeAt, dstLenAt = 4, 16 + 1
	swap := func(n uint16) uint32 { return uint32(networkOrder(n)) } // filters load in network order
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: typeAt, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swap(unix.RTM_NEWROUTE), SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: swap(unix.RTM_DELROUTE), SkipTrue: 2},
		bpf.LoadAbsolute{Off: dstLenAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 20},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic(err) // a constant
	}
	return raw
}

// Changes returns a channel of what there is after each change; what was not
// yet received is replaced by the newest. It is closed when the Watcher ends.
func (w *Watcher) Changes() <-chan *State { return w.changes }

// Err returns why Changes was closed: nil after Close.
func (w *Watcher) Err() error { return w.err }

// Close ends the Watcher and waits until it has ended.
func (w *Watcher) Close() error {
	w.close.Do(func() { close(w.done); w.events.Close() })
	for range w.changes {
	}
	return nil
}

func (w *Watcher) hangUp() {
	for _, c := range []*netlink.Conn{w.events, w.queries} {
		if c != nil {
			c.Close()
		}
	}
}

// run receives notifications until the Watcher is closed.
func (w *Watcher) run(last *State) {
	defer close(w.changes)
	defer w.hangUp()
	for {
		messages, err := w.events.Receive()
		select {
		case <-w.done:
			return
		default:
		}
		if err = w.update(messages, err); err != nil {
			w.err = fmt.Errorf("watch the interfaces: %w", err)
			return
		}
		if s := w.table.state(); !s.Equal(last) {
			last = s
			w.publish(s)
		}
	}
}

// update takes what was received into the table.
func (w *Watcher) update(messages []netlink.Message, err error) error {
	if err != nil && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	if err != nil {
		// Notifications were lost: all is read again.
		return w.resync()
	}
	again := false
	for _, m := range messages {
		w.table.apply(m)
		// Routes go without a word when their interface does.
		again = again || w.routes
	}
	if again {
		w.table.routes, err = dumpDefault(w.queries)
	}
	return err
}

// resyncPause is how long is waited until all is read again if that failed.
const resyncPause = time.Second

// resync reads all again.
func (w *Watcher) resync() error {
	for {
		err := w.drain()
		if err != nil {
			return err
		}
		if t, err := dump(w.queries, w.routes); err == nil {
			w.table = t
			return nil
		}
		select {
		case <-w.done:
			return os.ErrClosed
		case <-time.After(resyncPause):
		}
	}
}

// drain throws away the notifications that wait. Until the queue is empty the
// kernel drops others without saying so again (NETLINK_S_CONGESTED in
// net/netlink/af_netlink.c): only then can what is read be relied on.
func (w *Watcher) drain() error {
	conn, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	var buf [1]byte
	return conn.Read(func(fd uintptr) bool {
		for {
			_, _, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
			if err != nil && err != unix.ENOBUFS && err != unix.EINTR {
				return true // EAGAIN: it is empty
			}
		}
	})
}

// publish puts a state into the channel, in place of an older one.
func (w *Watcher) publish(s *State) {
	select {
	case <-w.changes:
	default:
	}
	w.changes <- s
}

// dump reads all there is.
func dump(q *netlink.Conn, routes bool) (*table, error) {
	t := newTable()
	for _, get := range []netlink.Message{
		{Header: netlink.Header{Type: unix.RTM_GETLINK}, Data: make([]byte, unix.SizeofIfInfomsg)},
		{Header: netlink.Header{Type: unix.RTM_GETADDR}, Data: make([]byte, unix.SizeofIfAddrmsg)},
	} {
		messages, err := request(q, get)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			t.apply(m)
		}
	}
	if !routes {
		return t, nil
	}
	var err error
	t.routes, err = dumpDefault(q)
	return t, err
}

// dumpDefault reads the default routes and returns the best one.
func dumpDefault(q *netlink.Conn) (defaultRoute, error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if best, err := defaultOf(q, family); err != nil || best.index != 0 {
			return best, err
		}
	}
	return defaultRoute{}, nil
}

// defaultOf is dumpDefault for one IP version.
func defaultOf(q *netlink.Conn, family byte) (best defaultRoute, err error) {
	data := make([]byte, unix.SizeofRtMsg)
	data[0] = family
	messages, err := request(q, netlink.Message{Header: netlink.Header{Type: unix.RTM_GETROUTE}, Data: data})
	if err != nil {
		return defaultRoute{}, err
	}
	for _, m := range messages {
		if r, ok := decodeDefault(m.Data); ok && (best.index == 0 || r.metric < best.metric) {
			best = r
		}
	}
	return best, nil
}

// request asks for a dump. If something changed while it was made, it is made
// again, a few times at most: each change is also notified.
func request(q *netlink.Conn, m netlink.Message) (reply []netlink.Message, err error) {
	m.Header.Flags = netlink.Request | netlink.Dump
	for range 5 {
		if reply, err = q.Execute(m); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(reply, interrupted) {
			break
		}
	}
	return reply, nil
}

func interrupted(m netlink.Message) bool { return m.Header.Flags&netlink.DumpInterrupted != 0 }
