package livetest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

const spaPort = 62201

// gatekeeper is a daemon for messages: ours or Debian's fwknopd.
type gatekeeper struct {
	pid     int
	stop    func()
	client  *nettest.Host
	send    func(port int, payload []byte)
	opened  *elements
	lastAsk int // how many addresses have been asked for
}

// doorKeys are the passphrases of the i-th door.
func doorKeys(i int) (key, hmac string) {
	return fmt.Sprintf("%s-%d", spaKey, i), fmt.Sprintf("%s-%d", spaHMAC, i)
}

// startOurs starts our daemon with n doors that have keys.
func startOurs(t *testing.T, client, server *nettest.Host, n int) *gatekeeper {
	t.Helper()
	dir := t.TempDir()
	var conf strings.Builder
	conf.WriteString("[options]\n\tlogfile = LOG\n")
	for i := range n {
		key, hmac := doorKeys(i)
		file := fmt.Sprintf("%s/%d.keys", dir, i)
		nettest.Write(t, file, "KEY "+key+"\nHMAC_KEY "+hmac+"\n")
		fmt.Fprintf(&conf, "[door%d]\n\tspa_key_file = %s\n\topen = tcp/22\n\tcmd_timeout = 60\n", i, file)
	}
	d := start(t, server, conf.String())
	// A message is taken if it is newer than the store, in whole seconds.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1010 * time.Millisecond)))
	g := &gatekeeper{pid: d.cmd.Process.Pid, client: client, stop: func() { d.stop(syscall.SIGTERM) }}
	g.ready(t, client, server)
	return g
}

// doorTable is a firewall for fwknopd to open.
const doorTable = "add table inet door; add set inet door allowed { type ipv4_addr . inet_proto . inet_service; flags timeout; }"

// startStock starts fwknopd with n stanzas, to sniff or, with udp, to listen
// on a socket, which opens by one nft command, the fastest of its ways.
func startStock(t *testing.T, client, server *nettest.Host, udp bool, n int) *gatekeeper {
	t.Helper()
	dir := t.TempDir()
	server.Try("nft", "delete table inet door")
	server.Run("nft", doorTable)
	listen := "PCAP_INTF eth0;\nPCAP_FILTER udp port 62201;\n"
	if udp {
		listen = "ENABLE_UDP_SERVER Y;\nUDPSERV_PORT 62201;\n"
	}
	var access strings.Builder
	for i := range n {
		key, hmac := doorKeys(i)
		fmt.Fprintf(&access, "SOURCE ANY\nKEY %s\nHMAC_KEY %s\nCMD_CYCLE_OPEN /usr/sbin/nft add element inet door allowed "+
			"{ $IP . $PROTO . $PORT timeout 60s }\nCMD_CYCLE_CLOSE NONE\n\n", key, hmac)
	}
	for name, text := range map[string]string{
		"fwknopd.conf": listen + "FWKNOP_RUN_DIR " + dir + ";\nFWKNOP_PID_FILE " + dir + "/pid;\nDIGEST_FILE " + dir + "/digest.cache;\n",
		"access.conf":  access.String(),
	} {
		nettest.Write(t, filepath.Join(dir, name), text)
	}
	path, _ := nettest.FindProgram("fwknopd")
	cmd := exec.Command(path, "-f", "-c", dir+"/fwknopd.conf", "-a", dir+"/access.conf")
	log, err := os.Create(dir + "/log") // it writes two lines about each message
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := server.Start(cmd); err != nil {
		t.Fatal(err)
	}
	g := &gatekeeper{pid: cmd.Process.Pid, client: client, stop: func() { cmd.Process.Kill(); cmd.Wait() }}
	g.ready(t, client, server)
	return g
}

// ready waits until messages open.
func (g *gatekeeper) ready(t *testing.T, client, server *nettest.Host) {
	t.Helper()
	g.send = datagrams(t, client)
	g.opened = monitorElements(t, server)
	nettest.Eventually(t, "a message that opens", func() bool {
		addr := g.ask(t)
		time.Sleep(300 * time.Millisecond)
		return !g.opened.when(addr).IsZero()
	})
}

// ask sends an honest message of the last door's client, which asks for an
// address of its own, and returns that address.
func (g *gatekeeper) ask(t *testing.T) netip.Addr {
	t.Helper()
	g.lastAsk++
	addr := netip.AddrFrom4([4]byte{10, 77, byte(g.lastAsk >> 8), byte(g.lastAsk)})
	key, hmac := doorKeys(0)
	ports, err := spa.ParseAccess("tcp/22")
	if err != nil {
		t.Fatal(err)
	}
	m := spa.Message{User: "tester", Time: time.Now(), Type: spa.Access, Address: addr, Ports: ports}
	payload, err := spa.Seal(m, spa.Client{Key: []byte(key), HMACKey: []byte(hmac), HMAC: spa.SHA256}, 0)
	if err != nil {
		t.Fatal(err)
	}
	g.send(spaPort, payload)
	return addr
}

// elements is when addresses came into the kernel's sets.
type elements struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (e *elements) when(addr netip.Addr) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.since[addr.String()]
}

var askedFor = regexp.MustCompile(`10\.77\.\d+\.\d+`)

// monitorElements watches the sets of a host until the test ends.
func monitorElements(t *testing.T, h *nettest.Host) *elements {
	t.Helper()
	path, _ := nettest.FindProgram("nft")
	cmd := exec.Command(path, "monitor", "new", "elements")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = h.Start(cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &elements{since: map[string]time.Time{}}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			now := time.Now()
			e.mu.Lock()
			for _, addr := range askedFor.FindAllString(s.Text(), -1) {
				if _, known := e.since[addr]; !known {
					e.since[addr] = now
				}
			}
			e.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return e
}

// junk is a file of messages of nobody, which look like messages.
func junk(t *testing.T, client, server *nettest.Host) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	r := rand.New(rand.NewPCG(2, 2))
	return capture(t, client, server, 100_000, func(i int) []byte {
		payload := make([]byte, 204)
		for k := range payload {
			payload[k] = alphabet[r.IntN(len(alphabet))]
		}
		payload[0] = "89+/"[i%4]
		payload[203] = "AEIMQUYcgkosw048"[i%16] // the end of 32 octets' base64
		return udpPacket(strangers+uint32(i), spaPort, payload)
	})
}

// measureMessages: from a message to the element in the kernel's set.
func measureMessages(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	latency := func(g *gatekeeper) float64 {
		defer g.stop()
		var all []time.Duration
		for i := range 20 {
			sent := time.Now()
			addr := g.ask(t)
			nettest.Eventually(t, "an opening", func() bool { return !g.opened.when(addr).IsZero() })
			all = append(all, g.opened.when(addr).Sub(sent))
			time.Sleep(time.Duration(i*37%100) * time.Millisecond)
		}
		return milliseconds(median(all))
	}
	ours := latency(startOurs(t, client, server, 1))
	sniffing := latency(startStock(t, client, server, false, 1))
	listening := latency(startStock(t, client, server, true, 1))
	c.add("message to opened element, median of 20 (fwknopd: pcap)", "ms", ours, sniffing, "2 ms", ours < 2)
	c.add("the same (fwknopd: UDP socket)", "ms", ours, listening, reported, false)
}

// measureJunk: honest messages among junk, and what the junk costs.
func measureJunk(t *testing.T, c *comparison) {
	client, server := nettest.Pair(t)
	// So that fwknopd's socket gets what the sniffers get.
	server.Run("ip", "route", "add", "11.0.0.0/8", "via", nettest.Client4)
	file := junk(t, client, server)
	for _, rate := range []int{2000, 10_000, 40_000, 0} {
		ours, grown := amongJunk(t, startOurs(t, client, server, 1), file, rate)
		theirs, _ := amongJunk(t, startStock(t, client, server, false, 1), file, rate)
		what := "junk messages, " + rateName(rate)
		c.add(what+": openings of 20 (fwknopd: pcap)", "", ours, theirs, "20", ours >= 20)
		c.add(what+": growth of memory", "MiB", grown, none, "8 MiB", grown <= 8)
	}
	for _, k := range []struct {
		doors, rate int
		times       float64
	}{{1, 40_000, 4}, {10, 15_000, 10}} {
		var all [2][]float64
		for range 3 {
			all[0] = append(all[0], costOfJunk(t, startOurs(t, client, server, k.doors), file, k.rate))
			all[1] = append(all[1], costOfJunk(t, startStock(t, client, server, true, k.doors), file, k.rate))
		}
		ours, theirs := median(all[0]), median(all[1])
		c.add(fmt.Sprintf("CPU for a junk message, doors: %d (fwknopd: UDP socket)", k.doors), "µs", ours, theirs,
			fmt.Sprintf("1 : %.0f", k.times), ours*k.times <= theirs)
	}
}

// amongJunk sends 20 honest messages in 6 s of junk, and counts those that
// open within two seconds.
func amongJunk(t *testing.T, g *gatekeeper, file string, rate int) (opened, grown float64) {
	t.Helper()
	defer g.stop()
	replay(t, g.client, file, rate, 2) // buffers and the collector find their size
	before := memoryOf(g.pid, "VmHWM")
	var flood sync.WaitGroup
	flood.Go(func() { replay(t, g.client, file, rate, 7) })
	time.Sleep(500 * time.Millisecond)
	sent := map[netip.Addr]time.Time{}
	for range 20 {
		sent[g.ask(t)] = time.Now()
		time.Sleep(300 * time.Millisecond)
	}
	flood.Wait()
	time.Sleep(2 * time.Second)
	for addr, at := range sent {
		if when := g.opened.when(addr); !when.IsZero() && when.Sub(at) < 2*time.Second {
			opened++
		}
	}
	return opened, memoryOf(g.pid, "VmHWM") - before
}

// costOfJunk returns microseconds of CPU time for a message.
func costOfJunk(t *testing.T, g *gatekeeper, file string, rate int) float64 {
	t.Helper()
	defer g.stop()
	before := cpuOf(g.pid)
	s := replay(t, g.client, file, rate, 3)
	settled(g.pid, 10*time.Second)
	return float64((cpuOf(g.pid) - before).Microseconds()) / max(s.packets, 1)
}
