package offline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"knockd/internal/capture"
)

// pipe is a Source that a test feeds.
type pipe struct {
	batches chan []capture.Captured
	err     error
	buf     []capture.Captured
	read    atomic.Int64
}

func (p *pipe) Next() ([]capture.Captured, error) {
	batch, ok := <-p.batches
	if !ok {
		return nil, p.err
	}
	p.read.Add(1)
	p.buf = append(p.buf[:0], batch...) // as sources do
	return p.buf, nil
}

func (p *pipe) Close() error { return nil }

func batch(first, n, payload int) (b []capture.Captured) {
	for i := range n {
		var c capture.Captured
		c.DstPort = uint16(first + i)
		c.Payload = make([]byte, payload)
		b = append(b, c)
	}
	return b
}

// TestReadAhead: batches come as they were read, in order, and the error last.
func TestReadAhead(t *testing.T) {
	p := &pipe{batches: make(chan []capture.Captured, 100), err: io.ErrUnexpectedEOF}
	var want, got []string
	for i := range 100 {
		p.batches <- batch(i*100, i+1, 0)
		want = append(want, fmt.Sprint(i*100, i+1))
	}
	close(p.batches)
	a := readAhead(p)
	var l load
	var err error
	for {
		if l, err = a.next(l.emptied(), func() {}); err != nil {
			break
		}
		begin := 0
		for _, end := range l.ends {
			got = append(got, fmt.Sprint(l.packets[begin].DstPort, end-begin))
			begin = end
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
}

// TestReadAheadBounds: what is read but not decided on is bounded, by packets and
// by their payloads.
func TestReadAheadBounds(t *testing.T) {
	for _, c := range []struct{ packets, payload, want int }{
		{256, 0, maxPackets / 256},
		{1, 0, maxPackets},
		{4, 1 << 16, maxOctets / (4 << 16)},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pipe{batches: make(chan []capture.Captured), err: io.EOF}
			a := readAhead(p)
			stop := make(chan struct{})
			go func() {
				defer close(p.batches)
				for {
					select {
					case p.batches <- batch(0, c.packets, c.payload):
					case <-stop:
						return
					}
				}
			}()
			synctest.Wait()
			if got := int(p.read.Load()); got != c.want+1 { // one waits to be taken over
				t.Errorf("%d batches of %d packets were read, want %d", got, c.packets, c.want+1)
			}
			close(stop)
			for err := error(nil); err == nil; {
				_, err = a.next(load{}, func() {})
			}
		})
	}
}

// TestReadAheadIdles: what was decided is told before packets are waited for.
func TestReadAheadIdles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{batches: make(chan []capture.Captured), err: io.EOF}
		a := readAhead(p)
		idle := 0
		go func() {
			synctest.Wait()
			p.batches <- batch(1, 1, 0)
			close(p.batches)
		}()
		if _, err := a.next(load{}, func() { idle++ }); err != nil || idle != 1 {
			t.Errorf("idle %d times, %v", idle, err)
		}
		synctest.Wait()
		if _, err := a.next(load{}, func() { idle++ }); err != io.EOF || idle != 1 {
			t.Errorf("idle %d times, %v", idle, err)
		}
	})
}
