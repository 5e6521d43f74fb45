package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

// TestWatcherOrder: packets are told of in the order in which they were sent, each
// as soon as it and all before it are known.
func TestWatcherOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := make(chan string, 9)
		w := &Watcher{OnSent: func(s Sent) { lines <- s.What + " " + s.Reply.String() + " " + s.Reply.After.String() }}
		told := func() (all []string) {
			for len(lines) > 0 {
				all = append(all, <-lines)
			}
			return all
		}
		late := func(d time.Duration, r Reply) func() Reply {
			return func() Reply { time.Sleep(d); return r }
		}
		w.sent(Sent{At: time.Now(), What: "a"}, late(3*time.Second, Reply{}))
		w.sent(Sent{At: time.Now(), What: "b"}, late(time.Second, Reply{Kind: Reset}))
		w.sent(Sent{At: time.Now(), What: "c", Reply: Reply{Kind: Unsent, Err: errors.New("no way")}}, nil)
		w.sent(Sent{At: time.Now(), What: "d"}, late(4*time.Second, Reply{Kind: Data, Octets: 2}))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if early := told(); early != nil {
			t.Errorf("before the first is known: %q", early)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got, want := told(), []string{"a nothing 3s", "b a reset 1s", "c not sent: no way 0s"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		w.Wait()
		if got, want := told(), []string{"d an answer of 2 octets 4s"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	(*Watcher)(nil).Wait()
}

// TestReplies: replies in words.
func TestReplies(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		reply Reply
		want  string
	}{
		{Reply{}, "nothing"},
		{Reply{Kind: Accepted}, "a connection: a program listens there"},
		{Reply{Kind: ICMP, Type: 3, Code: 13, By: four}, "ICMP administratively prohibited (3/13) from 192.0.2.1"},
		{Reply{Kind: ICMP, Type: 1, Code: 4, By: six}, "ICMP port unreachable (1/4) from 2001:db8::1"},
		{Reply{Kind: ICMP, Type: 3, Code: 0, By: six}, "ICMP time exceeded on the way (3/0) from 2001:db8::1"},
		{Reply{Kind: ICMP, Type: 99, Code: 1, By: four}, "ICMP error (99/1) from 192.0.2.1"},
		{Reply{Kind: Refusal, Err: errors.New("connection refused")}, "connection refused"},
	} {
		if got := c.reply.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestSegmentReply: what belongs to a segment that was made by hand.
func TestSegmentReply(t *testing.T) {
	from, to := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("192.0.2.2:7000")
	sent := marshalSegment(from, to, knock.SYN|knock.ACK, nil)
	answer := func(flags knock.Flags) []byte {
		a := marshalSegment(to.Addr(), netip.AddrPortFrom(from, 1), flags, nil)
		copy(a[0:2], sent[2:4])
		copy(a[2:4], sent[0:2])
		return a
	}
	for _, c := range []struct {
		came []byte
		want ReplyKind
		ok   bool
	}{
		{answer(knock.RST), Reset, true},
		{answer(knock.RST | knock.ACK), Reset, true},
		{answer(knock.SYN | knock.ACK), Accepted, true},
		{answer(knock.ACK), Data, true},
		{sent, 0, false},
		{answer(knock.RST)[:19], 0, false},
		{nil, 0, false},
		{marshalSegment(to.Addr(), netip.AddrPortFrom(from, 2), knock.RST, nil), 0, false},
	} {
		if r, ok := segmentReply(sent, c.came); ok != c.ok || ok && r.Kind != c.want {
			t.Errorf("%x: %+v, %v", c.came, r, ok)
		}
	}
	header := append([]byte{0x46}, make([]byte, 23)...)
	if got := withoutIPv4(append(header, 1, 2)); !slices.Equal(got, []byte{1, 2}) {
		t.Errorf("%x", got)
	}
	for _, short := range [][]byte{nil, {0x4f}, {0x45, 0}} {
		withoutIPv4(short) // never panics
	}
}

// TestWatchLoopback: what every system can tell, of the host itself.
func TestWatchLoopback(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	go func() {
		buf := make([]byte, 10)
		if _, from, err := u.ReadFrom(buf); err == nil {
			u.WriteTo([]byte("hi"), from)
		}
	}()
	var got []ReplyKind
	s := Sender{Route: Route{Watch: &Watcher{OnSent: func(s Sent) { got = append(got, s.Reply.Kind) }}}}
	local := netip.MustParseAddr("127.0.0.1")
	for _, step := range []knock.Step{
		{Proto: knock.TCP, Port: addrPort(l.Addr()).Port()}, {Proto: knock.UDP, Port: addrPort(u.LocalAddr()).Port()}, {Proto: knock.TCP, Port: 1},
	} {
		if err := s.Hit(context.Background(), local, step, 0); err != nil {
			t.Error(err)
		}
	}
	s.Watch.Wait()
	if want := []ReplyKind{Accepted, Data, Reset}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
