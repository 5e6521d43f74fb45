package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/nettest"
)

// TestFollowManyChanges makes random changes while a client knocks without a
// pause. A socket that was there before all of them is the witness: of what
// it hears on an interface, everything is seen from the first packet on that
// is seen on it.
func TestFollowManyChanges(t *testing.T) {
	r := nettest.Rand(t)
	client, server := nettest.Pair(t)
	files, goroutines := openFiles(t), runtime.NumGoroutine()

	witness := listen(t, server, Any, wantUDP(7000))
	witnessed := collect(witness)
	f, err := followOn(server, wantUDP(7000), "eth0")
	if err != nil {
		t.Fatal(err)
	}
	seen := collect(f)
	stop := make(chan struct{})
	knocks := make(chan int)
	go func() { knocks <- knockOn(client, stop) }()

	for range 60 {
		change(r, client, server)
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	n := <-knocks
	time.Sleep(100 * time.Millisecond)
	witness.Close()
	f.Close()
	compare(t, n, <-witnessed, <-seen)

	for i := 0; openFiles(t) > files || runtime.NumGoroutine() > goroutines; i++ {
		if i == 100 {
			t.Fatalf("%d files, %d before; %d goroutines, %d before", openFiles(t), files, runtime.NumGoroutine(), goroutines)
		}
		time.Sleep(20 * time.Millisecond)
		runtime.GC() // files of the test itself
	}
}

func followOn(h *nettest.Host, w *FilterSpec, names ...string) (f *Followed, err error) {
	err = h.Do(func() (err error) {
		f, err = Follow(names, w, func(event.Event) {})
		return err
	})
	return f, err
}

// arrivals has the numbers of the packets that came in, by interface.
type arrivals map[int][]uint32

func collect(s Source) <-chan arrivals {
	done := make(chan arrivals, 1)
	go func() {
		all := arrivals{}
		for {
			batch, err := s.Next()
			for _, p := range batch {
				all[p.IfIndex] = append(all[p.IfIndex], binary.BigEndian.Uint32(p.Payload))
			}
			if err != nil {
				done <- all
				return
			}
		}
	}()
	return done
}

// knockOn sends numbered packets until it is told to stop, to everybody on
// the cable, so that no neighbour has to be found first. Some get nowhere.
func knockOn(client *nettest.Host, stop <-chan struct{}) (n int) {
	client.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
		octets := []byte(udp4(7000) + "1234")
		octets[3], octets[25] = 32, 12
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ; ; n++ {
			select {
			case <-stop:
				return nil
			case <-tick.C:
			}
			if i, err := net.InterfaceByName("eth0"); err == nil {
				to.Ifindex = i.Index
				binary.BigEndian.PutUint32(octets[28:], uint32(n))
				unix.Sendto(fd, octets, 0, &to)
			}
		}
	})
	return n
}

// change does something to the server's interfaces.
func change(r *rand.Rand, client, server *nettest.Host) {
	try := func(args ...string) { server.Try("ip", args...) } // some are refused
	switch r.IntN(8) {
	case 0:
		try("link", "del", "eth0")
		nettest.Wire(client, server, "eth0")
	case 1:
		try("link", "set", "eth0", "down")
		try("link", "set", "eth0", "up")
	case 2:
		try("link", "add", "eth5", "type", "veth", "peer", "name", "eth6")
	case 3:
		try("link", "del", "eth5")
	case 4:
		try("addr", "add", fmt.Sprintf("10.9.%d.1/24", r.IntN(3)), "dev", "eth0")
	case 5:
		try("addr", "del", fmt.Sprintf("10.9.%d.1/24", r.IntN(3)), "dev", "eth0")
	case 6:
		try("link", "set", "eth5", "up")
	case 7:
		try("addr", "add", "10.10.0.1/24", "dev", "eth5")
	}
}

func compare(t *testing.T, sent int, witnessed, seen arrivals) {
	total := 0
	for index, numbers := range witnessed {
		got := seen[index]
		total += len(got)
		if len(got) == 0 {
			// It may have come and gone too fast, or be another one than eth0.
			if len(numbers) > 300 {
				t.Errorf("of %d packets on interface %d none was seen", len(numbers), index)
			}
			continue
		}
		for len(numbers) > 0 && numbers[0] != got[0] {
			numbers = numbers[1:]
		}
		if n, ok := lost(numbers, got); ok {
			t.Errorf("interface %d: %d is lost; heard %v, seen %v", index, n, numbers, got)
		}
	}
	t.Logf("%d packets sent, %d seen on %d interfaces", sent, total, len(witnessed))
	if total < 100 {
		t.Errorf("only %d packets seen of %d", total, sent)
	}
}

// lost returns a packet that was heard and should have been seen. One may be
// lost after a gap in what was heard: the interface was down then, and the
// kernel gives a socket that is bound to it its packets again only some time
// after one that is bound to none.
func lost(witnessed, seen []uint32) (uint32, bool) {
	comingUp := false
	for i, n := range witnessed {
		comingUp = i > 0 && (comingUp || witnessed[i-1] != n-1)
		switch {
		case len(seen) > 0 && seen[0] == n:
			seen, comingUp = seen[1:], false
		case !comingUp:
			return n, true
		}
	}
	return 0, false
}

func openFiles(t *testing.T) int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}
