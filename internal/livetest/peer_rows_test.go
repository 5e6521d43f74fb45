package livetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// contestant starts one of the daemons and waits until it hears.
func contestant(t *testing.T, client, server *nettest.Host, path, conf string) *daemon {
	t.Helper()
	d := prepare(t, server, path, "[options]\n\tlogfile = LOG\n"+probeDoor+conf)
	if _, ok := awaitCapture(t, client, d, time.Now(), time.Minute); !ok {
		t.Fatalf("%s hears nothing\n%s%s", path, d.text(), d.output.String())
	}
	return d
}

// threeUDP is a door of three datagrams.
const threeUDP = "[door]\n\tsequence = 7000:udp,8000:udp,9000:udp\n\tseq_timeout = 5\n"

// measureLatency: from the last knock to the first thing that the command does.
func measureLatency(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	var results [2][]time.Duration
	for i, path := range c.contestants() {
		fifo := t.TempDir() + "/started"
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		d := contestant(t, client, server, path, threeUDP+"\tcommand = echo %IP% > "+fifo+"\n")
		results[i] = latencies(t, client, fifo, 100)
		d.stop(syscall.SIGTERM)
	}
	ours, theirs := milliseconds(median(results[0])), milliseconds(median(results[1]))
	c.add(fmt.Sprintf("a: last knock to command, median of %d", len(results[0])), "ms", ours, theirs, "1 : 10", ours*10 <= theirs)
}

func latencies(t *testing.T, client *nettest.Host, fifo string, n int) (list []time.Duration) {
	t.Helper()
	// Open for writing too, it never ends.
	started, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer started.Close()
	knocker := datagrams(t, client)
	buf := make([]byte, 64)
	for i := range n {
		for _, port := range []int{7000, 8000, 9000} {
			time.Sleep(10 * time.Millisecond)
			knocker(port, []byte("x"))
		}
		last := time.Now()
		started.SetReadDeadline(last.Add(10 * time.Second))
		if _, err := started.Read(buf); err != nil {
			t.Errorf("opening %d: %v", i, err)
			return list
		}
		list = append(list, time.Since(last))
		time.Sleep(time.Duration(i*7%50) * time.Millisecond)
	}
	return list
}

// datagrams returns a function that sends datagrams from the host. The socket is
// not connected: what the kernel says of the packet before is no matter.
func datagrams(t testing.TB, h *nettest.Host) func(port int, payload []byte) {
	t.Helper()
	var conn net.PacketConn
	if err := h.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", nettest.Client4+":0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(port int, payload []byte) {
		if _, err := conn.WriteTo(payload, &net.UDPAddr{IP: net.ParseIP(nettest.Server4), Port: port}); err != nil {
			t.Error(err)
		}
	}
}

// measureKnocks: the CPU time of complete knocks, each of another address.
func measureKnocks(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	for _, kind := range []struct {
		what, command string
		knocks, rate  int
		goal          string
	}{
		{"c: CPU per 100,000 complete knocks", "", 100_000, 20_000, "1 : 2"},
		{"c: the same, each with a command (true)", "\tcommand = true\n", 1000, 300, reported},
	} {
		file := capture(t, client, server, 3*kind.knocks, func(i int) []byte {
			return synPacket(strangers+uint32(i/3), uint16(7000+1000*(i%3)), uint32(i))
		})
		var cost [2]float64
		for i, path := range c.contestants() {
			d := contestant(t, client, server, path, "[door]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 5\n\ttcpflags = syn\n"+kind.command)
			before := cpuOf(d.cmd.Process.Pid)
			tcpreplay(t, client, file, kind.rate, "--loop=1")
			settled(d.cmd.Process.Pid, 20*time.Second)
			opened := countIn(d.log, "OPEN SESAME")
			if opened < kind.knocks*9/10 {
				t.Errorf("%s: %d of %d knocks opened", path, opened, kind.knocks)
			}
			cost[i] = (cpuOf(d.cmd.Process.Pid) - before).Seconds() * 100_000 / float64(max(opened, 1))
			d.stop(syscall.SIGKILL)
		}
		c.add(kind.what, "s", cost[0], cost[1], kind.goal, cost[0]*2 <= cost[1])
	}
}

// manyDoors is a configuration of n doors, all of different ports as far as
// there are enough.
func manyDoors(n int) string {
	var b strings.Builder
	for i := range n {
		port := 2000 + 3*i%60000
		fmt.Fprintf(&b, "[door%d]\n\tsequence = %d,%d:udp,%d\n\tseq_timeout = 5\n\ttcpflags = syn,!ack\n"+
			"\tstart_command = /sbin/iptables -A INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n\tcmd_timeout = 10\n"+
			"\tstop_command = /sbin/iptables -D INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n", i, port, port+1, port+2)
	}
	return b.String()
}

// measureDoors: the time until a daemon hears, and the most memory until then.
func measureDoors(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	begin := func(path string, doors, times int) (seconds, mib float64) {
		var all []float64
		for range times {
			d := prepare(t, server, path, "[options]\n\tlogfile = LOG\n"+probeDoor+manyDoors(doors))
			took, ok := awaitCapture(t, client, d, d.began, 2*time.Minute)
			if !ok {
				d.cmd.Process.Kill()
				return none, none
			}
			settled(d.cmd.Process.Pid, 3*time.Second)
			mib = max(mib, memoryOf(d.cmd.Process.Pid, "VmHWM"))
			all = append(all, took.Seconds())
			d.stop(syscall.SIGTERM)
		}
		return median(all), mib
	}
	for _, n := range []int{10, 300, 1000, 10_000} {
		ours, memory := begin(c.ours, n, 3)
		theirs, theirMemory := none, none
		if n <= 1000 {
			theirs, theirMemory = begin(c.theirs, n, 1)
		}
		goals := [2]string{}
		if n == 10_000 {
			goals = [2]string{"0.5 s", "64 MiB"}
		}
		c.add(fmt.Sprintf("d: start with %d doors", n), "s", ours, theirs, goals[0], ours < 0.5)
		c.add(fmt.Sprintf("d: most memory with %d doors", n), "MiB", memory, theirMemory, goals[1], memory <= 64)
	}
}

// runtimeCalls are the system calls of Go's scheduler, and the end of one that
// a tracer has interrupted.
var runtimeCalls = regexp.MustCompile(`^(futex|epoll_p?wait2?|nanosleep|clock_nanosleep|restart_syscall|sched_yield|madvise|total)$`)

// measureIdle: nothing happens for 30 seconds.
func measureIdle(t *testing.T, c *comparison) {
	const idle = 30 * time.Second
	var memory, all, own [2]float64
	for i, path := range c.contestants() {
		client, server := nettest.Pair(t)
		d := contestant(t, client, server, path, threeUDP+"\tcommand = true\n")
		settled(d.cmd.Process.Pid, 10*time.Second)
		time.Sleep(3 * time.Second) // a collector that was called comes to rest
		var names []string
		all[i], own[i], names = callsOf(t, server, d.cmd.Process.Pid, idle)
		memory[i] = memoryOf(d.cmd.Process.Pid, "VmRSS")
		t.Logf("%s: %s", path, strings.Join(names, " "))
		d.stop(syscall.SIGTERM)
	}
	c.add("e: resident memory, idle, ring included", "MiB", memory[0], memory[1], "24 MiB", memory[0] <= 24)
	c.add("e: system calls in 30 idle seconds", "", all[0], all[1], reported, false)
	c.add("e: of these not the Go runtime's", "", own[0], none, "0", own[0] == 0)
}

// callsOf counts the system calls of a process, and those that are not the
// runtime's.
func callsOf(t *testing.T, h *nettest.Host, pid int, during time.Duration) (all, own float64, names []string) {
	t.Helper()
	file := t.TempDir() + "/calls"
	strace := exec.Command("strace", "-f", "-c", "-U", "name,calls", "-o", file, "-p", strconv.Itoa(pid))
	var said strings.Builder
	strace.Stderr = &said
	if err := h.Start(strace); err != nil {
		t.Fatal(err)
	}
	time.Sleep(during)
	strace.Process.Signal(syscall.SIGINT)
	strace.Wait()
	if !strings.Contains(said.String(), "attached") {
		t.Fatalf("strace: %s", said.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var n float64
		if k, _ := fmt.Sscan(line, &name, &n); k == 2 && name != "total" {
			names = append(names, fmt.Sprintf("%s:%.0f", name, n))
			all += n
			if !runtimeCalls.MatchString(name) {
				own += n
			}
		}
	}
	return all, own, names
}

// benchmarkLine is a line of "go test -bench -benchmem".
var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkTracker/(\w+)/attempts=(\d+)\S*\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// measureTracker: the dearest kind of hit, by the number of attempts.
func measureTracker(t *testing.T, c *comparison) {
	out, err := exec.Command("go", "test", "-run=^$", "-bench=^BenchmarkTracker$", "-benchtime=300ms", "-count=3",
		"knockd/internal/knock").CombinedOutput()
	if err != nil {
		t.Fatalf("go test: %v\n%s", err, out)
	}
	costs, allocs := map[string][]float64{}, 0
	for _, m := range benchmarkLine.FindAllStringSubmatch(string(out), -1) {
		ns, _ := strconv.ParseFloat(m[3], 64)
		n, _ := strconv.Atoi(m[4])
		costs[m[2]+m[1]] = append(costs[m[2]+m[1]], ns)
		allocs = max(allocs, n)
	}
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		worst := 0.0
		for _, kind := range []string{"nobodys", "stranger", "patient", "flood"} {
			cost := costs[strconv.Itoa(n)+kind]
			if len(cost) == 0 {
				t.Fatalf("no benchmark of %d, %s\n%s", n, kind, out)
			}
			worst = max(worst, median(cost))
		}
		goal := reported
		if n == 1_000_000 {
			goal = "500 ns"
		}
		c.add(fmt.Sprintf("f: tracker's cost of the dearest hit, %d attempts", n), "ns", worst, none, goal, worst <= 500)
	}
	c.add("f: allocations for a hit", "", float64(allocs), none, "0", allocs == 0)
}
