package livetest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// TestSPAManyClients: junk at a door with 1,000 clients, far more than its keys
// can be tried on, shuts neither a door with a sequence nor, unless the junk has
// any number of sources, the door itself. With KNOCKD_LONG=1 longer and from more
// sources.
func TestSPAManyClients(t *testing.T) {
	nettest.NeedProgram(t, "tcpreplay")
	long := os.Getenv("KNOCKD_LONG") != ""
	times := 3
	if long {
		times = 8
	}
	const any = 20_000 // sources
	for _, c := range []struct {
		name    string
		octets  int
		source  uint32 // the first
		sources int
		hmac    spa.Hash
		all     bool // messages open too
		long    bool
	}{
		{"one source", 1400, strangers, 1, spa.SHA256, true, false},
		{"any sources", 1400, strangers, any, spa.SHA256, true, true}, // a short message costs less than long junk
		{"one source, short junk", 204, strangers, 1, spa.SHA256, true, true},
		{"any sources, short junk", 204, strangers, any, spa.SHA256, false, true},
		{"the client's address", 1400, 10<<24 | 7<<16 | 1, 1, spa.SHA256, true, true},
		{"200 sources, short junk", 204, strangers, 200, spa.SHA256, true, true},
		{"SHA-3", 1400, strangers, 1, spa.SHA3_512, true, true},
		{"no HMAC", 1400, strangers, 1, 0, true, true},
	} {
		if c.long && !long {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var keys strings.Builder
			for i := range 999 {
				fmt.Fprintf(&keys, "[c%d]\n%s", i, spa.NewClient("", c.hmac).KeyLines())
			}
			client, server := nettest.Pair(t)
			door := strings.Replace(onceDoor, "\tLogRate = 100000\n", "", 1)
			if c.hmac == 0 {
				door += "\tspa_hmac = none\n"
			}
			d := startKeyed(t, server, door+
				"[door]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 10\n\ttcpflags = syn\n\tcommand = true\n", keys.String()+spaKeys)
			file := capture(t, client, server, max(c.sources, 1000), func(i int) []byte {
				return udpPacket(c.source+uint32(i%c.sources), spaPort, []byte("9"+strings.Repeat("A", c.octets-1)))
			})
			d.settled(t, client, laptop)
			before := cpuOf(d.cmd.Process.Pid)
			var flood sync.WaitGroup
			flood.Go(func() {
				s := replay(t, client, file, 20_000, times+2)
				t.Logf("%.0f packets, %.0f a second", s.packets, s.rate)
			})
			time.Sleep(time.Second)
			for range times {
				next := time.Now().Add(time.Second)
				sendMessage(t, client, message(t, laptop, "0.0.0.0"))
				client.Run(program(t, "knock"), "-d", "100", nettest.Server4, "7000", "8000", "9000")
				time.Sleep(time.Until(next))
			}
			flood.Wait()
			cpu := (cpuOf(d.cmd.Process.Pid) - before).Seconds()
			settled(d.cmd.Process.Pid, 10*time.Second)
			d.settled(t, client, laptop) // it is over, and what waited for the disk is opened
			knocks, messages := countIn(d.log, "10.7.0.1: door: OPEN SESAME"), countIn(d.log, "10.7.0.1: ssh: OPEN SESAME")
			d.stop(syscall.SIGTERM) // all is told
			lost, untried := droppedBy(d.log), untriedBy(d)
			t.Logf("%d of %d knocks and %d of %d messages opened; %.1f s of CPU time; the kernel dropped %.0f packets, knockd %d",
				knocks, times, messages, times, cpu, lost, untried)
			if lost == 0 && (knocks < times || c.all && messages < times) {
				t.Errorf("of %d knocks %d opened, of as many messages %d", times, knocks, messages)
			}
			if untried == 0 {
				t.Error("no packet was dropped: nothing is shown")
			}
		})
	}
}

var untriedLine = regexp.MustCompile(`SPA packets dropped: (\d+) came with too many others`)

// untriedBy adds up what a log says of packets on which no key was tried.
func untriedBy(d *daemon) (total int) {
	for _, m := range untriedLine.FindAllStringSubmatch(d.text(), -1) {
		n, _ := strconv.Atoi(m[1])
		total += n
	}
	return total
}
