package livetest

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

const thief = "10.7.0.66"

// TestSPAReplayFlood: a flood of one message that was used keeps no honest client
// out; and what honest clients send meanwhile opens for nobody else later, also
// after the daemon was killed right behind the flood. With KNOCKD_LONG=1 faster
// and longer.
func TestSPAReplayFlood(t *testing.T) {
	nettest.NeedProgram(t, "tcpreplay")
	rates, messages, killed, seconds := []int{30_000}, 8, 3, 3
	long := os.Getenv("KNOCKD_LONG") != ""
	if long {
		rates, messages, killed, seconds = []int{60_000, 0}, 50, 10, 15
	}
	for name, c := range map[string]struct{ door, address string }{
		"sender":         {"", "0.0.0.0"},
		"require_source": {"\trequire_source = yes\n", nettest.Client4},
	} {
		for _, rate := range rates {
			t.Run(name+", "+rateName(rate), func(t *testing.T) {
				if !long {
					t.Parallel()
				}
				client, server := nettest.Pair(t)
				client.AddAddress("eth0", thief+"/24")
				d := startKeyed(t, server, onceDoor+c.door, spaKeys)
				f := flood{t: t, d: d, client: client, rate: rate, address: c.address}
				used := message(t, laptop, "10.98.0.1")
				sendMessage(t, client, used)
				d.waitFor("10.98.0.1: ssh: OPEN SESAME", 1)
				f.file = capture(t, client, server, 1000, func(int) []byte {
					return udpPacket(10<<24|7<<16|66, spaPort, used)
				})
				overheard := f.bear(messages, seconds)
				settled(d.cmd.Process.Pid, nettest.Patience) // the ring may be full yet
				d.settled(t, client, laptop)
				f.opened()
				f.steal("after the flood", overheard)

				overheard = f.bear(killed, seconds)
				d.stop(syscall.SIGKILL)
				d.again(server)
				f.steal("killed and started", overheard)
				d.waitFor(thief+": ssh (laptop): SPA packet refused: used before", 1)
			})
		}
	}
}

// flood is of the packets in a file, while honest messages come that ask for one
// address.
type flood struct {
	t       *testing.T
	d       *daemon
	client  *nettest.Host
	file    string
	rate    int
	address string
	sent    int // honest messages
}

// bear floods the daemon for some seconds, sends it so many honest messages
// meanwhile, and returns them.
func (f *flood) bear(messages, seconds int) (sent [][]byte) {
	f.t.Helper()
	before := cpuOf(f.d.cmd.Process.Pid)
	var flood sync.WaitGroup
	flood.Go(func() {
		s := replay(f.t, f.client, f.file, f.rate, seconds)
		f.t.Logf("%.0f packets, %.0f a second", s.packets, s.rate)
	})
	pause := time.Duration(seconds) * time.Second / time.Duration(messages+3)
	time.Sleep(pause) // tcpreplay reads its file
	for range messages {
		time.Sleep(pause)
		m := message(f.t, laptop, f.address)
		sendMessage(f.t, f.client, m)
		sent = append(sent, m)
	}
	f.sent += messages
	flood.Wait()
	f.t.Logf("%.2f s of CPU time in %d s", (cpuOf(f.d.cmd.Process.Pid) - before).Seconds(), seconds)
	return sent
}

// lost is how many honest messages have opened nothing, and how many packets the
// kernel has dropped, as the log says.
func (f *flood) lost() (messages int, dropped float64) {
	return f.sent - f.d.openedFor(nettest.Client4), droppedBy(f.d.log)
}

// opened says that all honest messages have opened, but for those that the
// kernel may have dropped.
func (f *flood) opened() {
	f.t.Helper()
	lost, dropped := f.lost()
	for end := time.Now().Add(5 * time.Second); lost > 0 && time.Now().Before(end); lost, dropped = f.lost() {
		time.Sleep(100 * time.Millisecond) // for the commands
	}
	if lost < 0 || lost > 0 && dropped == 0 {
		f.t.Errorf("of %d honest messages %d have opened nothing", f.sent, lost)
	}
	f.t.Logf("of %d honest messages %d have opened nothing; the kernel dropped %.0f packets", f.sent, lost, dropped)
}

// steal sends messages that somebody has heard from an address of his own. Only
// one that the kernel has dropped was never used.
func (f *flood) steal(when string, overheard [][]byte) {
	f.t.Helper()
	lost, dropped := f.lost()
	if dropped == 0 {
		lost = 0
	}
	before := len(f.d.opened())
	for _, m := range overheard {
		if err := sendFrom(f.client, thief, m); err != nil {
			f.t.Fatal(err)
		}
	}
	f.d.settled(f.t, f.client, laptop)
	if n := len(f.d.opened()) - before - 1; n > lost { // 1: of settled
		f.t.Errorf("%s: %d of %d heard messages opened", when, n, len(overheard))
	}
}
