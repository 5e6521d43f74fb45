package kernellog

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/florianl/go-nflog/v2"
)

// Entry is one packet that a rule logged.
type Entry struct {
	Time   time.Time  // when the kernel got it, or now if it does not say
	Src    netip.Addr // the packet's source
	Prefix string     // as the rule wrote it
}

// ErrGroupTaken is what Listen returns if another program listens to the
// group; the kernel permits one.
var ErrGroupTaken = errors.New("another program listens to this NFLOG group")

// The kernel gathers up to batch packets, for at most delay hundredths of a
// second, into one message, so that a flood costs few system calls.
const (
	batch = 64
	delay = 5
)

// headerSize is how much of a packet is asked for: its IP header.
const headerSize = 64

// readBuffer is the size in octets of the socket's queue.
const readBuffer = 4 << 20

// Listen calls each for every packet logged to an NFLOG group, one at a time
// and in order, until ctx ends; then it returns nil. It calls ready once when
// it listens, and lost (which may be nil) whenever the kernel had to throw
// entries away because they came too fast.
func Listen(ctx context.Context, group uint16, ready func(), each func(Entry), lost func()) error {
	nf, err := nflog.Open(&nflog.Config{
		Group: group, Copymode: nflog.CopyPacket, Bufsize: headerSize,
		QThresh: batch, Timeout: delay,
	})
	if err != nil {
		return fmt.Errorf("open netfilter log: %w", err)
	}
	defer nf.Close()
	_ = nf.Con.SetReadBuffer(readBuffer) // the default serves, less well
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	var once sync.Once
	stop := func(err error) int {
		once.Do(func() { failed <- err })
		return 1
	}
	hook := func(a nflog.Attribute) int {
		if e, ok := entry(a); ok {
			each(e)
		}
		return 0
	}
	if err := nf.RegisterWithErrorFunc(ctx, hook, func(err error) int { return sort(ctx, err, lost, stop) }); err != nil {
		return bindError(group, err)
	}
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// sort tells the errors of reading apart: what was lost is said and reading
// goes on, the end is the end, all else is a fault.
func sort(ctx context.Context, err error, lost func(), stop func(error) int) int {
	switch {
	case ctx.Err() != nil:
		return 1
	case errors.Is(err, syscall.ENOBUFS):
		if lost != nil {
			lost()
		}
		return 0
	case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EAGAIN):
		return 0
	}
	return stop(fmt.Errorf("read netfilter log: %w", err))
}

// bindError words a refusal. The library flattens its errors to text, so text
// is all there is to tell them apart.
func bindError(group uint16, err error) error {
	denied := strings.Contains(err.Error(), syscall.EPERM.Error()) || strings.Contains(err.Error(), syscall.EBUSY.Error())
	if denied && strings.Contains(err.Error(), "requested group") {
		return fmt.Errorf("listen to NFLOG group %d: %w", group, ErrGroupTaken)
	}
	if denied {
		return fmt.Errorf("listen to NFLOG group %d: %w", group, syscall.EPERM)
	}
	return fmt.Errorf("listen to NFLOG group %d: %w", group, err)
}

// entry reduces what the kernel sent; it reports false for what is no IP packet.
func entry(a nflog.Attribute) (Entry, bool) {
	if a.Payload == nil || a.Prefix == nil {
		return Entry{}, false
	}
	src, ok := source(*a.Payload)
	e := Entry{Time: time.Now(), Src: src, Prefix: strings.TrimRight(*a.Prefix, "\x00")}
	if a.Timestamp != nil && !a.Timestamp.IsZero() {
		e.Time = *a.Timestamp
	}
	return e, ok
}

// source returns the source address of an IP packet.
func source(b []byte) (netip.Addr, bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), true
	}
	return netip.Addr{}, false
}
