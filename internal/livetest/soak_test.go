package livetest

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

var soak = flag.Duration("soak", 0, "how long to torment the daemon; at least a minute")

// soakConf has a door of commands, a native one, a strict one, and one that
// comes and goes with reloads.
func soakConf(n int) string {
	conf := "[options]\n\tlogfile = LOG\n"
	for name, rest := range map[string]string{
		"door":   "sequence = 7000,8000,9000\n\ttcpflags = syn",
		"strict": "sequence = 7203,8205,9301\n\tstrict = yes",
	} {
		conf += "[" + name + "]\n\t" + rest + "\n\tseq_timeout = 10\n\tstart_command = echo open " + name + " %IP%. >> DIR/opened\n" +
			"\tcmd_timeout = 1\n\tstop_command = echo close " + name + " %IP%. >> DIR/opened\n"
	}
	conf += "[native]\n\tsequence = 7100:udp,8100:udp\n\topen = tcp/22\n\tcmd_timeout = 2\n"
	if n%2 == 1 {
		conf += "[guest]\n\tsequence = 7400,8400\n\tcommand = true\n"
	}
	return conf
}

// soaker is a daemon in torment.
type soaker struct {
	*testing.T
	d              *daemon
	client, server *nettest.Host
	knocks         atomic.Int64
	reloads        int
}

// TestSoak: floods, reloads, address changes and openings at once. Every
// honest knock opens, every door closes; memory, threads, goroutines and
// descriptors do not grow.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("a test that takes minutes: make soak")
	}
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "tcpreplay", "nft")
	s := &soaker{T: t}
	s.client, s.server = nettest.Pair(t)
	s.server.EchoTCP(ssh4)
	s.d = start(t, s.server, soakConf(0))
	fresh := goroutinesOf(start(t, nettest.NewHost(t, "other"), soakConf(0), "-i", "lo"))

	s.torment(max(*soak/4, 30*time.Second))
	early := s.footprint()
	s.torment(*soak - *soak/4)
	after := s.footprint()

	t.Logf("%d honest knocks, %d reloads; %+v at first, %+v at last", s.knocks.Load(), s.reloads, early, after)
	if grown := after.kilobytes - early.kilobytes; grown > 8<<10 {
		t.Errorf("memory grew by %d kB", grown)
	}
	if after.files > early.files {
		t.Errorf("%d descriptors, %d before", after.files, early.files)
	}
	if after.threads > early.threads+4 { // the runtime's own come as they are needed
		t.Errorf("%d threads, %d before", after.threads, early.threads)
	}
	if n := goroutinesOf(s.d); n > fresh {
		t.Errorf("%d goroutines, %d in a daemon just begun", n, fresh)
	}
}

// torment does everything at once for a while.
func (s *soaker) torment(during time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), during)
	defer stop()
	first, random := firstKnocks(s.T, s.client, s.server), randomSYNs(s.T, s.client, s.server)
	var all sync.WaitGroup
	every := func(pause time.Duration, do func(i int)) {
		all.Go(func() {
			for i := 0; ctx.Err() == nil && !s.Failed(); i++ {
				do(i)
				time.Sleep(pause)
			}
		})
	}
	every(2*time.Second, func(i int) { replay(s.T, s.client, []string{first, random}[i%2], 20_000+30_000*(i%3), 4) })
	every(3*time.Second, s.reload)
	every(2*time.Second, s.changeAddresses)
	for k := range 4 {
		from := fmt.Sprintf("10.7.0.%d", 11+k)
		s.client.Try("ip", "address", "add", from+"/24", "dev", "eth0")
		every(200*time.Millisecond, func(int) { s.honest(from) })
	}
	every(4*time.Second, s.honestNative)
	all.Wait()
}

// reload has the daemon read a configuration with or without one more door.
func (s *soaker) reload(i int) {
	s.d.configure(soakConf(i))
	s.d.cmd.Process.Signal(syscall.SIGHUP)
	s.reloads++
}

// changeAddresses gives the server an address, or takes it away.
func (s *soaker) changeAddresses(i int) {
	do := []string{"replace", "del"}[i%2]
	if out, err := s.server.Try("ip", "address", do, "10.7.9.9/32", "dev", "eth0"); err != nil && do == "replace" {
		s.Errorf("ip address %s: %v\n%s", do, err, out)
	}
}

// honest knocks at two doors and waits for both to open.
func (s *soaker) honest(from string) {
	for door, steps := range map[string][]string{"door": {"7000", "8000", "9000"}, "strict": {"7203", "8205", "9301"}} {
		line := "open " + door + " " + from + ".\n"
		earlier := countIn(s.d.file("opened"), line)
		syn(s.T, s.client, from, nettest.Server4, steps...)
		s.knocks.Add(1)
		if !within(nettest.Patience, func() bool { return countIn(s.d.file("opened"), line) > earlier }) {
			s.Errorf("an honest knock of %s at %s opened nothing", from, door)
			return
		}
	}
}

// honestNative knocks at the native door and waits until the service can be
// reached, and until it cannot.
func (s *soaker) honestNative(int) {
	syn(s.T, s.client, nettest.Client4, nettest.Server4, "7100:udp", "8100:udp")
	s.knocks.Add(1)
	if !within(nettest.Patience, func() bool { return reaches(s.client, ssh4) }) {
		s.Error("an honest knock at native opened nothing")
		return
	}
	if !within(nettest.Patience, func() bool { return !reaches(s.client, ssh4) }) {
		s.Error("native did not close")
	}
}

// footprint waits until all doors are closed and nothing happens, and measures.
func (s *soaker) footprint() footprint {
	s.Helper()
	closed := func() bool {
		name := s.d.file("opened")
		return countIn(name, "open ") == countIn(name, "close ")
	}
	if !within(nettest.Patience, closed) {
		s.Errorf("opened and closed: %d and %d", countIn(s.d.file("opened"), "open "), countIn(s.d.file("opened"), "close "))
	}
	settled(s.d.cmd.Process.Pid, 10*time.Second)
	return usage(s.T, s.d.cmd.Process.Pid)
}

// goroutinesOf ends a daemon in the way in which Go's runtime says what all
// goroutines do, and counts them.
func goroutinesOf(d *daemon) int {
	d.stop(syscall.SIGQUIT)
	text := d.output.String()
	n := strings.Count(text, "\ngoroutine ")
	if n == 0 {
		d.t.Errorf("no goroutines are told of:\n%s", text)
	}
	return n
}
