package livetest

import (
	"bufio"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// capture writes n Ethernet frames, from the client of a pair to its server,
// into a capture file. A packet begins with the IPv4 header.
func capture(t *testing.T, client, server *nettest.Host, n int, packet func(i int) []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "flood.pcap")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	w.Write([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00"))
	ethernet := append(append(server.Hardware("eth0"), client.Hardware("eth0")...), 8, 0)
	var head [16]byte
	for i := range n {
		p := packet(i)
		length := uint32(len(ethernet) + len(p))
		binary.LittleEndian.PutUint32(head[4:], uint32(i))
		binary.LittleEndian.PutUint32(head[8:], length)
		binary.LittleEndian.PutUint32(head[12:], length)
		w.Write(head[:])
		w.Write(ethernet)
		w.Write(p)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// packet4 returns an IPv4 packet of a protocol to nettest.Server4.
func packet4(source uint32, protocol byte, rest []byte) []byte {
	p := []byte("\x45\x00\x00\x00\x00\x00\x40\x00\x40\x00\x00\x00\x00\x00\x00\x00\x0a\x07\x00\x02")
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)+len(rest)))
	p[9] = protocol
	binary.BigEndian.PutUint32(p[12:], source)
	sum := uint32(0)
	for i := 0; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum>>16+sum&0xffff))
	return append(p, rest...)
}

func synPacket(source uint32, port uint16, seq uint32) []byte {
	b := []byte("\x9c\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x50\x02\xff\xff\x00\x00\x00\x00")
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint32(b[4:], seq)
	return packet4(source, 6, b)
}

func udpPacket(source uint32, port uint16, payload []byte) []byte {
	b := []byte("\x9c\x40\x00\x00\x00\x00\x00\x00")
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)+len(payload)))
	return packet4(source, 17, append(b, payload...))
}

// strangers is where the addresses of floods begin: 11.0.0.0.
const strangers = 11 << 24

// firstKnocks is a file of first knocks at port 7000, each from another address.
func firstKnocks(t *testing.T, client, server *nettest.Host) string {
	return capture(t, client, server, 1_000_000, func(i int) []byte {
		return synPacket(strangers+uint32(i), 7000, uint32(i))
	})
}

// randomSYNs is a file of SYNs to random ports from a million addresses.
func randomSYNs(t *testing.T, client, server *nettest.Host) string {
	r := rand.New(rand.NewPCG(1, 1))
	return capture(t, client, server, 1_000_000, func(i int) []byte {
		return synPacket(strangers+uint32(i), uint16(1+r.IntN(65535)), uint32(i))
	})
}

// sent is what tcpreplay says it has sent.
type sent struct{ packets, rate float64 }

var (
	sentPackets = regexp.MustCompile(`Actual: (\d+) packets`)
	sentRate    = regexp.MustCompile(`([\d.]+) pps`)
)

// replay sends a file's packets again and again for some seconds, so many a
// second; 0 stands for as fast as it goes.
func replay(t *testing.T, h *nettest.Host, file string, rate, seconds int) sent {
	return tcpreplay(t, h, file, rate, "--loop=0", "--duration="+strconv.Itoa(seconds))
}

func tcpreplay(t *testing.T, h *nettest.Host, file string, rate int, args ...string) sent {
	speed := "--topspeed"
	if rate > 0 {
		speed = "--pps=" + strconv.Itoa(rate)
	}
	out, err := h.Try("tcpreplay", append(append([]string{"-q", "-i", "eth0", "--preload-pcap", speed}, args...), file)...)
	packets, pps := sentPackets.FindStringSubmatch(out), sentRate.FindStringSubmatch(out)
	if packets == nil || pps == nil {
		t.Errorf("tcpreplay: %v\n%s", err, out)
		return sent{}
	}
	var s sent
	s.packets, _ = strconv.ParseFloat(packets[1], 64)
	s.rate, _ = strconv.ParseFloat(pps[1], 64)
	return s
}

// rateName names a rate of replay.
func rateName(rate int) string {
	if rate == 0 {
		return "full speed"
	}
	return strconv.Itoa(rate) + " a second"
}

// probeDoor is a door that shows when a daemon captures.
const probeDoor = "[probe]\n\tsequence = 1999:udp\n"

// awaitCapture sends to the probe door until the daemon has heard it, and returns how
// long after the given time that was. It fails after the given time.
func awaitCapture(t *testing.T, client *nettest.Host, d *daemon, since time.Time, within time.Duration) (time.Duration, bool) {
	t.Helper()
	for time.Since(since) < within {
		if err := client.Send(nettest.Server4+":1999", []byte("x")); err != nil {
			time.Sleep(time.Millisecond) // the answer to the one before: nobody listens
		}
		if countIn(d.log, "probe: Stage 1") > 0 {
			return time.Since(since), true
		}
		select {
		case <-d.done:
			return 0, false
		case <-time.After(3 * time.Millisecond):
		}
	}
	return 0, false
}
