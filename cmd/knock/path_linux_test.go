package main

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// path is a way between two hosts that end on it with their tun0, as Pair's
// hosts do with eth0: packets take their time, overtake each other, and get
// lost.
type path struct {
	delay func() time.Duration // for each packet
	lose  func(ip []byte) bool // says which
	tun   [2]int               // descriptors
	queue packetQueue          // on the way
	stop  [2]*os.File          // a pipe that ends the relay
	done  chan struct{}        //
}

// steady is a delay without jitter.
func steady(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// jitter is a delay between mid-by and mid+by.
func jitter(mid, by time.Duration) func() time.Duration {
	return func() time.Duration { return mid - by + rand.N(2*by) }
}

// newPath joins two new hosts. Lose may be nil.
func newPath(t *testing.T, delay func() time.Duration, lose func([]byte) bool) (client, server *nettest.Host) {
	t.Helper()
	client, server = nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	p := &path{delay: delay, lose: lose, done: make(chan struct{})}
	for i, end := range []struct {
		*nettest.Host
		ip4, ip6 string
	}{{client, nettest.Client4, nettest.Client6}, {server, nettest.Server4, nettest.Server6}} {
		err := end.Do(func() (err error) {
			p.tun[i], err = openTun("tun0")
			return err
		})
		if errors.Is(err, os.ErrPermission) {
			nettest.Missing(t, "needs root to make a tun interface: %v", err)
		}
		if err != nil {
			nettest.LacksKernel(t, "tun devices: "+err.Error())
		}
		end.AddAddress("tun0", end.ip4+"/24")
		end.AddAddress("tun0", end.ip6+"/64")
		end.Run("ip", "link", "set", "tun0", "up")
	}
	var err error
	if p.stop[0], p.stop[1], err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	go p.relay()
	t.Cleanup(p.close)
	return client, server
}

func openTun(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	return fd, err
}

func (p *path) close() {
	p.stop[1].Close()
	<-p.done
	p.stop[0].Close()
	unix.Close(p.tun[0])
	unix.Close(p.tun[1])
}

// relay carries the packets, on a thread of its own that the scheduler
// prefers, so that a busy machine adds little jitter.
func (p *path) relay() {
	defer close(p.done)
	// The thread is given back as it was: were it to end with this goroutine,
	// so would the processes that other tests have started from it, since
	// that is how their parent-death signal works.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
	defer unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 0)
	for {
		wait := -1
		if len(p.queue) > 0 {
			wait = max(0, int(time.Until(p.queue[0].due)/time.Millisecond))
		}
		fds := []unix.PollFd{{Fd: int32(p.tun[0]), Events: unix.POLLIN}, {Fd: int32(p.tun[1]), Events: unix.POLLIN},
			{Fd: int32(p.stop[0].Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, wait); err != nil && err != unix.EINTR {
			return
		}
		if fds[2].Revents != 0 {
			return
		}
		p.take(0)
		p.take(1)
		p.deliver()
	}
}

// take reads what a host has sent.
func (p *path) take(from int) {
	buf := make([]byte, 65536)
	for {
		n, err := unix.Read(p.tun[from], buf)
		if err != nil || n <= 0 {
			return
		}
		packet := append([]byte(nil), buf[:n]...)
		if p.lose == nil || !p.lose(packet) {
			heap.Push(&p.queue, delayed{packet, 1 - from, time.Now().Add(p.delay())})
		}
	}
}

func (p *path) deliver() {
	for len(p.queue) > 0 && time.Until(p.queue[0].due) <= 0 {
		d := heap.Pop(&p.queue).(delayed)
		unix.Write(p.tun[d.to], d.packet)
	}
}

// delayed is a packet on its way.
type delayed struct {
	packet []byte
	to     int
	due    time.Time
}

type packetQueue []delayed

func (q packetQueue) Len() int           { return len(q) }
func (q packetQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q packetQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *packetQueue) Push(x any)        { *q = append(*q, x.(delayed)) }

func (q *packetQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
