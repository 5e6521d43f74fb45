package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// wantUDP is what a door with the given UDP ports wants.
func wantUDP(ports ...uint16) *FilterSpec {
	w := &FilterSpec{}
	for _, p := range ports {
		w.Matches = append(w.Matches, Match{Proto: knock.UDP, First: p, Last: p})
	}
	return w
}

// listen opens a Live on a host's interface of the given name, or on all if the
// name is Any, closed with the test.
func listen(t testing.TB, h *nettest.Host, name string, w *FilterSpec) *Live {
	t.Helper()
	return listenAndTell(t, h, name, w, func(e event.Event) { t.Log(e.Text()) })
}

func listenAndTell(t testing.TB, h *nettest.Host, name string, w *FilterSpec, log func(event.Event)) *Live {
	t.Helper()
	var l *Live
	err := h.Do(func() (err error) {
		var indexes []int
		if name != Any {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			indexes = []int{i.Index}
		}
		if l, err = Listen(name, w, log); err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		return l.Bind(indexes)
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reading runs a source's Next in a goroutine and hands on what comes. The
// source has to be closed.
type reading struct {
	packets chan Captured
	ended   chan error
}

func read(s Source) *reading {
	r := &reading{make(chan Captured, 4096), make(chan error, 1)}
	go func() {
		for {
			batch, err := s.Next()
			for _, p := range batch {
				p.Payload, p.Octets = append([]byte(nil), p.Payload...), nil
				r.packets <- p
			}
			if err != nil {
				r.ended <- err
				return
			}
		}
	}()
	return r
}

// next returns the next packet.
func (r *reading) next(t *testing.T) Captured {
	t.Helper()
	select {
	case p := <-r.packets:
		return p
	case err := <-r.ended:
		t.Fatalf("the source ended: %v", err)
	case <-time.After(nettest.Patience):
		t.Fatal("no packet came")
	}
	return Captured{}
}

// expect checks that packets to these ports come next.
func (r *reading) expect(t *testing.T, ports ...uint16) {
	t.Helper()
	for _, want := range ports {
		if p := r.next(t); p.DstPort != want {
			t.Fatalf("a packet to port %d, want %d: %+v", p.DstPort, want, p.Hit)
		}
	}
}

func send(t *testing.T, h *nettest.Host, dst string, ports ...uint16) {
	t.Helper()
	for _, p := range ports {
		if err := h.Send(net.JoinHostPort(dst, fmt.Sprint(p)), []byte("knock")); err != nil {
			t.Fatal(err)
		}
	}
}

// readers runs a test with each way of reading a socket.
func readers(t *testing.T, f func(t *testing.T)) {
	t.Run("ring", f)
	t.Run("plain", func(t *testing.T) {
		openRing = func(fd, payload, size int) (*ring, error) { return nil, errors.New("no ring") }
		defer func() { openRing = newRing }()
		f(t)
	})
}

// TestStamps: packets that waited have the time at which they came, not the one
// at which they were read.
func TestStamps(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		l := listen(t, server, "eth0", wantUDP(7000))
		// The kernel begins to stamp packets a while after it was asked to.
		nettest.Eventually(t, "a packet has the time at which it came", func() bool {
			send(t, client, nettest.Server4, 7000, 7000, 7000)
			sent := time.Now()
			batch, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			return !batch[0].Time.After(sent)
		})
	})
}

func TestLive(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		l := listen(t, server, "eth0", wantUDP(7000, 9000))
		r := read(l)
		before := time.Now()
		send(t, client, nettest.Server4, 7000)
		p := r.next(t)
		if p.Time.Before(before.Add(-time.Millisecond)) || p.Time.After(time.Now()) {
			t.Errorf("seen at %v, sent at %v", p.Time, before)
		}
		want := knock.Hit{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: 7000, Proto: knock.UDP, PayloadLen: 5, IfIndex: p.IfIndex}
		if p.Hit != want || p.Src.String() != nettest.Client4 || p.Dst.String() != nettest.Server4 || p.SrcPort == 0 || p.IfIndex <= 0 {
			t.Errorf("got %+v", p.Hit)
		}
		if string(p.Payload) != "knock" {
			t.Errorf("payload %q", p.Payload)
		}
		send(t, client, nettest.Server4, 8000, 9000) // 8000 is nobody's
		send(t, client, nettest.Server6, 7001, 7000)
		r.expect(t, 9000, 7000)

		if err := l.SetFilter(wantUDP(8000)); err != nil {
			t.Fatal(err)
		}
		send(t, client, nettest.Server4, 7000, 8000)
		r.expect(t, 8000)

		if n, err := l.Drops(); n != 0 || err != nil {
			t.Errorf("%d drops, %v", n, err)
		}
		l.Close()
		select {
		case err := <-r.ended:
			if err != os.ErrClosed {
				t.Errorf("the reader ended with %v", err)
			}
		case <-time.After(nettest.Patience):
			t.Fatal("Close did not wake the reader")
		}
		if err := l.SetFilter(wantUDP(1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("SetFilter after Close: %v", err)
		}
	})
}

// TestLiveOutgoing checks that what leaves is seen only where it is asked for,
// and never on the loopback interface, where it comes in again.
func TestLiveOutgoing(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		w := wantUDP(7000, 8000)
		r := read(listen(t, server, "eth0", w))
		w.Outgoing = true
		out := read(listen(t, server, "eth0", w))
		lo := read(listen(t, server, "lo", w))
		all := read(listen(t, server, Any, w))
		send(t, server, nettest.Client4, 7000)
		send(t, server, "127.0.0.1", 7000)
		send(t, server, "127.0.0.1", 8000)
		send(t, client, nettest.Server4, 8000)
		r.expect(t, 8000)
		out.expect(t, 7000, 8000)
		lo.expect(t, 7000, 8000)
		all.expect(t, 7000, 8000, 8000)
	})
}

// TestLiveBehindFirewall checks that a knock is seen that the firewall drops.
func TestLiveBehindFirewall(t *testing.T) {
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	server.Run("nft", "table inet f { chain c { type filter hook prerouting priority -400; policy drop; }; }")
	r := read(listen(t, server, "eth0", wantUDP(7000)))
	// The neighbour is known from nettest.Pair, or this would not get out.
	send(t, client, nettest.Server4, 7000)
	r.expect(t, 7000)
}

// TestLiveFilterReplaced sends without a pause while the filter is replaced
// over and over: no packet that both filters let pass may be lost.
func TestLiveFilterReplaced(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		l := listen(t, server, "eth0", wantUDP(7000))
		r := read(l)
		const n = 2000
		go func() {
			for i := range 200 {
				l.SetFilter(wantUDP(7000, uint16(8000+i)))
			}
		}()
		err := client.Do(func() error {
			c, err := net.Dial("udp", net.JoinHostPort(nettest.Server4, "7000"))
			if err != nil {
				return err
			}
			defer c.Close()
			for i := range n {
				// Nobody listens, so that every other write reports it.
				for {
					if _, err := c.Write(binary.BigEndian.AppendUint32(nil, uint32(i))); err == nil {
						break
					} else if !errors.Is(err, unix.ECONNREFUSED) {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got := binary.BigEndian.Uint32(r.next(t).Payload); got != uint32(i) {
				t.Fatalf("packet %d came in place of %d", got, i)
			}
		}
	})
}

// TestLiveLongPacket checks that packets longer than a ring's frame are whole.
func TestLiveLongPacket(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		w := &FilterSpec{Matches: []Match{{Proto: knock.UDP, First: 7000, Last: 7000, Payload: 1400}}}
		short := listen(t, server, "eth0", wantUDP(7000))
		if err := short.SetFilter(w); err != nil { // frames cannot grow
			t.Fatal(err)
		}
		for name, l := range map[string]*Live{"short frames": short, "long frames": listen(t, server, "eth0", w)} {
			r := read(l)
			for _, size := range []int{0, 10, 1000, 1400} {
				payload := []byte(strings.Repeat("x", size))
				if err := client.Send(net.JoinHostPort(nettest.Server4, "7000"), payload); err != nil {
					t.Fatal(err)
				}
				if p := r.next(t); string(p.Payload) != string(payload) || p.PayloadLen != size {
					t.Errorf("%s: %d octets of %d, want %d", name, len(p.Payload), p.PayloadLen, size)
				}
			}
			l.Close()
		}
	})
}

// TestLiveInterfaces follows an interface that goes down, up, away and comes back.
func TestLiveInterfaces(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		l := listen(t, server, "eth0", wantUDP(7000, 8000))
		r := read(l)
		server.Run("ip", "link", "set", "eth0", "down")
		server.Run("ip", "link", "set", "eth0", "up")
		send(t, client, nettest.Server4, 7000)
		r.expect(t, 7000)

		server.Run("ip", "link", "del", "eth0")
		server.Run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
		server.Run("ip", "link", "set", "eth1", "up")
		nettest.Join(nettest.Cable{Host: client, Interface: "eth0", Addresses: []string{nettest.Client4 + "/24"}},
			nettest.Cable{Host: server, Interface: "eth0", Addresses: []string{nettest.Server4 + "/24"}})
		index := func(name string) (n int) {
			server.Do(func() error {
				i, err := net.InterfaceByName(name)
				if err == nil {
					n = i.Index
				}
				return err
			})
			return n
		}
		for _, indexes := range [][]int{{index("eth0")}, nil, {index("eth1"), index("eth0")}, {index("eth0")}} {
			if err := l.Bind(indexes); err != nil {
				t.Fatal(err)
			}
			send(t, client, nettest.Server4, 7000)
			r.expect(t, 7000)
			for _, other := range [][]int{{}, {index("eth1")}, {index("eth1"), index("lo")}} {
				if err := l.Bind(other); err != nil {
					t.Fatal(err)
				}
				send(t, client, nettest.Server4, 8000)
			}
			if err := l.Bind(indexes); err != nil {
				t.Fatal(err)
			}
			send(t, client, nettest.Server4, 7000)
			r.expect(t, 7000)
		}
	})
}

// TestClock: with whatever seconds the kernel counts in 32 bits, before 2038,
// after it, and when they begin again from 0.
func TestClock(t *testing.T) {
	for _, start := range []time.Time{
		time.Now(), time.Date(2040, 2, 29, 12, 0, 0, 5e8, time.UTC),
		time.Unix(1<<31-6, 1), time.Unix(1<<32-6, 999_999_999),
	} {
		testClock(t, start)
	}
}

func testClock(t *testing.T, start time.Time) {
	c := clock{latest: start}
	at := func(read, stamp time.Duration) time.Duration {
		s := start.Add(stamp)
		return c.at(start.Add(read), uint32(s.Unix()), uint32(s.Nanosecond())).Sub(start)
	}
	for i, tt := range []struct{ read, stamp, want time.Duration }{
		{5 * time.Second, 4 * time.Second, 4 * time.Second},
		{5 * time.Second, 4500 * time.Millisecond, 4500 * time.Millisecond},
		{5 * time.Second, 4400 * time.Millisecond, 4500 * time.Millisecond}, // never back
		{6 * time.Second, 9000 * time.Second, 6 * time.Second},              // the clock was set back
		{7 * time.Second, -9000 * time.Second, 6 * time.Second},             // and forth
		{8 * time.Second, 8 * time.Second, 8 * time.Second},
	} {
		if got := at(tt.read, tt.stamp); got != tt.want {
			t.Errorf("%v, %d: got %v, want %v", start, i, got, tt.want)
		}
	}
	now := start.Add(time.Hour)
	if got := c.at(now, 0, 0); got != now { // a packet without a time
		t.Errorf("%v: got %v", start, got)
	}
}

// TestLiveFrom: whoever asks for one source gets all that it sends, be it no knock
// at all, with the interface.
func TestLiveFrom(t *testing.T) {
	nettest.NeedProgram(t, "ping")
	client, server := nettest.Pair(t)
	l := listen(t, server, Any, &FilterSpec{From: netip.MustParseAddr(nettest.Client4), Ring: 1 << 18})
	r := read(l)
	send(t, client, nettest.Server4, 7000)
	client.Run("ping", "-c", "1", "-W", "1", nettest.Server4)
	for _, want := range []knock.Protocol{knock.UDP, 1} {
		select {
		case p := <-r.packets:
			if p.Proto != want || p.Src != netip.MustParseAddr(nettest.Client4) || p.IfIndex == 0 {
				t.Errorf("%+v, want one of protocol %d", p.Hit, want)
			}
		case <-time.After(nettest.Patience):
			t.Fatalf("no packet of protocol %d", want)
		}
	}
}
