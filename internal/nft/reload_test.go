package nft

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// stream sends numbered datagrams from a host without a pause until it is
// stopped. Nobody answers, so that each is new to connection tracking and
// judged by the sets.
type stream struct {
	conn      net.Conn
	sent, got atomic.Int64
	stop      chan struct{}
	done      chan struct{}
}

func newStream(t *testing.T, from *nettest.Host, source, to string) *stream {
	t.Helper()
	s := &stream{stop: make(chan struct{}), done: make(chan struct{})}
	err := from.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
		s.conn, err = d.Dial("udp", to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stream) run() {
	defer close(s.done)
	defer s.conn.Close()
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		if _, err := s.conn.Write([]byte("x")); err == nil {
			s.sent.Add(1)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// end stops the stream and waits for it.
func (s *stream) end() {
	close(s.stop)
	<-s.done
}

// sink counts what arrives at a port of a host, by source.
func sink(t *testing.T, h *nettest.Host, address string, by map[string]*stream) {
	t.Helper()
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.UDPConn).SetReadBuffer(8 << 20)
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 16)
		for {
			_, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if s := by[from.(*net.UDPAddr).IP.String()]; s != nil {
				s.got.Add(1)
			}
		}
	}()
}

// TestReload changes the rules all the time, by reloads and by restarts, and
// has a stranger and a knocker send datagrams meanwhile: none of the one may
// get through, none of the other be lost.
func TestReload(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	const stranger = "10.7.0.77"
	client.AddAddress("eth0", stranger+"/24")
	f := firewall(t, server, Options{})
	configs := [][]Door{
		{{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "udp/5000"), Timeout: time.Hour}},
		{{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "udp/5000, tcp/22"), Timeout: time.Minute}, {DoorID: knock.DoorID{Name: "b"}, Ports: ports(t, "tcp/1-1000")}},
		{{DoorID: knock.DoorID{Name: "b"}, Ports: ports(t, "tcp/22")}, {DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "udp/4000-6000, tcp/23")}},
		{{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "udp/4999-5001"), Timeout: time.Hour}, {DoorID: knock.DoorID{Name: "c"}, Ports: ports(t, "udp/5000-5010"), OnePort: true}},
	}
	ensure(t, f, configs[0]...)
	open(t, f, Element{Door: knock.DoorID{Name: "a"}, Addr: addr(nettest.Client4)})

	to := nettest.Server4 + ":5000"
	knocker, other := newStream(t, client, nettest.Client4, to), newStream(t, client, stranger, to)
	sink(t, server, to, map[string]*stream{nettest.Client4: knocker, stranger: other})
	go knocker.run()
	go other.run()

	hooks := []Hook{Input, Prerouting}
	for i := range 80 {
		if i%5 == 4 {
			f.Close()
			f = firewall(t, server, Options{Hook: hooks[i/5%2]})
		}
		ensure(t, f, configs[i%len(configs)]...)
	}
	list, err := f.List()
	if err != nil || len(list) != 1 || list[0].Prefix.Addr() != addr(nettest.Client4) {
		t.Errorf("open after all reloads: %v, %v", list, err)
	}
	knocker.end()
	other.end()
	if other.got.Load() > 0 {
		t.Errorf("%d of a stranger's %d datagrams got through", other.got.Load(), other.sent.Load())
	}
	nettest.Eventually(t, "all of the knocker's datagrams arrive", func() bool { return knocker.got.Load() == knocker.sent.Load() })
	t.Logf("%d sent by the knocker, %d by the stranger", knocker.sent.Load(), other.sent.Load())
}

// TestOwnedInAnotherPlace: a table that an earlier run has left is owned again,
// also when its base chain moves.
func TestOwnedInAnotherPlace(t *testing.T) {
	t.Parallel()
	_, server := nettest.Pair(t)
	door := Door{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute}
	first := firewall(t, server, Options{})
	ensure(t, first, door)
	first.Close()
	if first.noOwner {
		t.Skip("the kernel knows no owners of tables")
	}
	for _, o := range []Options{{Hook: Prerouting}, {Mode: Mark}, {}} {
		f := firewall(t, server, o)
		if warnings := ensure(t, f, door); f.noOwner || len(warnings) > 0 {
			t.Errorf("%v %v: %q", o.Mode, o.Hook, warnings)
		}
		f.Close()
	}
}
