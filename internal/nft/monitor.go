package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// events is where word of changed rules comes from.
type events interface {
	Receive() ([]netlink.Message, error)
	// SetBPF is given a filter that spares us word of our own changes.
	SetBPF(filter []bpf.RawInstruction) error
	Close() error
}

// dialEvents joins the group to which nf_tables reports changes by user
// space. Elements that packets add, or that expire, are not reported.
func dialEvents(netns int) (events, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	if err := c.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		c.Close()
		return nil, err
	}
	// Large rulesets are loaded at once. If it cannot be had, overruns are
	// noticed and made good by looking.
	c.SetReadBuffer(4 << 20)
	return c, nil
}

// notFrom returns a filter for messages not caused by the connection with an
// address. All messages of a transaction bear the same (struct nlmsghdr,
// nlmsg_pid).
func notFrom(port uint32) []bpf.RawInstruction {
	// The filter loads in network order what the kernel has stored in its own.
	swapped := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, port))
	filter, _ := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 30},
		bpf.RetConstant{Val: 0},
	})
	return filter
}

// watched is what the monitor looks at.
type watched struct {
	port   uint32 // changes by this connection are our own
	tables []knock.Table
}

// monitor tells the Firewall when somebody else has changed what it has made.
// The monitor of nftables is no use for it: it parses everything, trusts
// foreign data (see recoverLibrary) and does not say which set an element
// belongs to.
type monitor struct {
	f       *Firewall
	watched atomic.Pointer[watched]
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	events events
}

// watch starts the monitor. It is called with the lock held.
func (f *Firewall) watch() error {
	if f.monitor != nil {
		return nil
	}
	ev, err := f.dialEvents(f.opt.NetNS)
	if err != nil {
		return fmt.Errorf("watch the rules: %w", reason(err))
	}
	f.monitor = &monitor{f: f, events: ev, stop: make(chan struct{}), done: make(chan struct{})}
	f.watchTables()
	go f.monitor.run(ev)
	return nil
}

// watchTables points the monitor at the tables that concern us. It is called with the
// lock held.
func (f *Firewall) watchTables() {
	if f.monitor == nil {
		return
	}
	w := &watched{port: f.k.port()}
	if f.opt.Mode.HasTable() {
		w.tables = []knock.Table{f.opt.Table}
	} else {
		for _, s := range f.doors {
			for _, t := range s.targets() {
				w.tables = append(w.tables, t.table)
			}
		}
	}
	f.monitor.setWatched(w)
}

func (m *monitor) setWatched(w *watched) {
	m.watched.Store(w)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events.SetBPF(notFrom(w.port)) // without it, concerns looks all the same
}

// stopMonitor ends the monitor and waits for it.
func (f *Firewall) stopMonitor() {
	f.mu.Lock()
	m := f.monitor
	f.monitor = nil
	f.mu.Unlock()
	if m == nil {
		return
	}
	close(m.stop)
	m.mu.Lock()
	m.events.Close()
	m.mu.Unlock()
	<-m.done
}

// run reads events until the monitor is stopped.
func (m *monitor) run(ev events) {
	defer close(m.done)
	for ev != nil {
		err := m.read(ev)
		ev.Close()
		if m.stopped() {
			return
		}
		if !errors.Is(err, unix.ENOBUFS) {
			m.f.notify(event.MonitorFailed{Err: err})
		}
		if ev = m.again(); ev != nil {
			m.f.changed(m, false, "")
		}
	}
}

// again connects once more, until that succeeds.
func (m *monitor) again() events {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		if !m.pause(wait) {
			return nil
		}
		ev, err := m.f.dialEvents(m.f.opt.NetNS)
		if err != nil {
			continue
		}
		m.mu.Lock()
		m.events = ev
		m.mu.Unlock()
		m.setWatched(m.watched.Load())
		if m.stopped() {
			ev.Close()
			return nil
		}
		return ev
	}
}

func (m *monitor) stopped() bool {
	select {
	case <-m.stop:
		return true
	default:
		return false
	}
}

// pause waits; false means that the monitor is stopped.
func (m *monitor) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.stop:
		return false
	case <-t.C:
		return true
	}
}

// read reports each transaction of somebody else that concerns us.
func (m *monitor) read(ev events) error {
	var touched, emptied bool
	for {
		messages, err := ev.Receive()
		if err != nil {
			if m.stopped() || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return err
		}
		for _, msg := range messages {
			kind := int(msg.Header.Type & 0xff)
			switch {
			case msg.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(msg.Data) < 4:
			case kind == unix.NFT_MSG_NEWGEN:
				if touched {
					m.f.changed(m, emptied, author(msg))
				}
				touched, emptied = false, false
			case m.concerns(msg):
				touched = true
				emptied = emptied || kind == unix.NFT_MSG_DELTABLE || kind == unix.NFT_MSG_DELSET
			}
		}
	}
}

// concerns reports whether a message is about a table that we watch, and not by
// ourselves. Attribute 1 is the table's name in messages of every kind.
func (m *monitor) concerns(msg netlink.Message) bool {
	w := m.watched.Load()
	if w == nil || msg.Header.PID == w.port {
		return false
	}
	ad, err := netlink.NewAttributeDecoder(msg.Data[4:])
	if err != nil {
		return false
	}
	for ad.Next() {
		if ad.Type() != unix.NFTA_TABLE_NAME {
			continue
		}
		name := ad.String()
		for _, t := range w.tables {
			if byte(families[t.Family]) == msg.Data[0] && t.Name == name {
				return true
			}
		}
	}
	return false
}

// author returns who made a transaction, as "nft (1234)".
func author(msg netlink.Message) string {
	ad, err := netlink.NewAttributeDecoder(msg.Data[4:])
	if err != nil {
		return ""
	}
	ad.ByteOrder = binary.BigEndian
	var pid uint32
	var name string
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_GEN_PROC_PID:
			pid = ad.Uint32()
		case unix.NFTA_GEN_PROC_NAME:
			name = ad.String()
		}
	}
	return fmt.Sprintf("%q (process %d)", name, pid)
}

func (f *Firewall) notify(e event.Event) {
	if f.opt.Notify != nil {
		f.opt.Notify(e)
	}
}
