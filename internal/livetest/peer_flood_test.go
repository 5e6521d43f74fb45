package livetest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

const floodSeconds = 10

// floodRates are in packets a second; 0 stands for full speed.
var floodRates = []int{10_000, 30_000, 100_000, 0}

// outcomeOfFlood is how a daemon bore a flood.
type outcomeOfFlood struct {
	sent
	opened float64 // of 20
	cpu    float64 // seconds
	memory float64 // MiB, the most
	drops  float64 // packets, as logged
}

// measureFlood: an honest knocker during a flood of first knocks.
func measureFlood(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	file := firstKnocks(t, client, server)
	const door = "[door]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 5\n\ttcpflags = syn\n\tcommand = echo %IP% >> DIR/opened\n"
	for _, rate := range floodRates {
		var r [2]outcomeOfFlood
		for i, path := range c.contestants() {
			r[i] = underFlood(t, c, client, server, path, door, file, rate)
			t.Logf("%s, %s: %+v", path, rateName(rate), r[i])
		}
		c.addFlood("b: first knocks, "+rateName(rate), r[0], &r[1])
	}
}

// measureHeld: a flood while nearly as many doors are open as can be.
func measureHeld(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	const held, rate = 9900, 100_000
	const doors = "[door]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 5\n\ttcpflags = syn\n\tcommand = echo %IP% >> DIR/opened\n" +
		"[held]\n\tsequence = 7100,8100,9100\n\ttcpflags = syn\n\topen = tcp/22\n\tcmd_timeout = 600\n"
	d := contestant(t, client, server, c.ours, doors)
	tcpreplay(t, client, capture(t, client, server, 3*held, func(i int) []byte {
		return synPacket(strangers+1<<23+uint32(i/3), uint16(7100+1000*(i%3)), uint32(i))
	}), 6000, "--loop=1")
	settled(d.cmd.Process.Pid, 30*time.Second)
	if n := countIn(d.log, "held: OPEN SESAME"); n < held {
		t.Errorf("%d of %d doors opened", n, held)
	}
	r := c.bear(t, client, d, doors, firstKnocks(t, client, server), rate)
	what := fmt.Sprintf("first knocks, %d a second, %d doors open: ", rate, held)
	c.add(what+"openings of 20", "", r.opened, none, "20", r.opened >= 20)
	c.add(what+"CPU for 10 s", "s", r.cpu, none, reported, false)
	c.add(what+"most memory", "MiB", r.memory, none, reported, false)
}

// measureStrict: the same for a strict door and SYNs to random ports.
func measureStrict(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	file := randomSYNs(t, client, server)
	const door = "[door]\n\tsequence = 7003,8005,9001\n\tseq_timeout = 5\n\tcommand = echo %IP% >> DIR/opened\n"
	c.addFlood("strict door, SYNs to random ports, full speed",
		underFlood(t, c, client, server, c.ours, door+"\tstrict = yes\n", file, 0), nil)
	c.addFlood("the same door not strict",
		underFlood(t, c, client, server, c.ours, door+"\ttcpflags = syn,!ack\n", file, 0), nil)
}

// addFlood adds the rows of a flood.
func (c *comparison) addFlood(what string, ours outcomeOfFlood, theirs *outcomeOfFlood) {
	if theirs == nil {
		theirs = &outcomeOfFlood{sent{none, none}, none, none, none, none}
	}
	c.add(what+": openings of 20", "", ours.opened, theirs.opened, "20", ours.opened >= 20)
	c.add(what+": packets a second", "", ours.rate, theirs.rate, reported, false)
	c.add(what+": CPU for 10 s", "s", ours.cpu, theirs.cpu, reported, false)
	c.add(what+": most memory", "MiB", ours.memory, theirs.memory, "64 MiB", ours.memory <= 64)
	c.add(what+": dropped by the kernel", "", ours.drops, none, reported, false)
}

var sequenceOf = regexp.MustCompile(`sequence = (\d+),(\d+),(\d+)`)

// underFlood runs a daemon, a flood and somebody who knocks 20 times with
// Debian's knock.
func underFlood(t *testing.T, c *comparison, client, server *nettest.Host, path, door, file string, rate int) (r outcomeOfFlood) {
	t.Helper()
	return c.bear(t, client, contestant(t, client, server, path, door), door, file, rate)
}

// bear is underFlood for a daemon that hears, and ends it.
func (c *comparison) bear(t *testing.T, client *nettest.Host, d *daemon, door, file string, rate int) (r outcomeOfFlood) {
	t.Helper()
	pid := d.cmd.Process.Pid
	before := cpuOf(pid)
	var flood sync.WaitGroup
	flood.Go(func() { r.sent = replay(t, client, file, rate, floodSeconds) })
	knockTwenty(t, c, client, sequenceOf.FindStringSubmatch(door)[1:])
	flood.Wait()
	settled(pid, 10*time.Second)
	r.cpu = (cpuOf(pid) - before).Seconds()
	r.memory = memoryOf(pid, "VmHWM")
	r.opened = float64(countIn(d.file("opened"), nettest.Client4+"\n"))
	signal := syscall.SIGTERM
	if d.cmd.Path == c.theirs {
		signal = syscall.SIGKILL // it may have much to read yet
	}
	d.stop(signal)
	r.drops = droppedBy(d.log) // the rest is told at the end
	return r
}

// knockTwenty knocks 20 times, each half a second after the one before, with
// 100 ms between the knocks.
func knockTwenty(t *testing.T, c *comparison, client *nettest.Host, ports []string) {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // tcpreplay reads its file
	for range 20 {
		next := time.Now().Add(450 * time.Millisecond)
		if out, err := client.Try(c.knock, append([]string{"-d", "100", nettest.Server4}, ports...)...); err != nil {
			t.Errorf("knock: %v\n%s", err, out)
		}
		time.Sleep(time.Until(next))
	}
}

var droppedLine = regexp.MustCompile(`the kernel dropped (\d+) packets`)

// droppedBy adds up what a log says of packets that the kernel dropped.
func droppedBy(log string) (total float64) {
	data, _ := os.ReadFile(log)
	for _, m := range droppedLine.FindAllSubmatch(data, -1) {
		n, _ := strconv.ParseFloat(string(m[1]), 64)
		total += n
	}
	return total
}
