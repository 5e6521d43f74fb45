package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// udp4 is an IPv4 packet with a UDP datagram to the given port.
func udp4(port uint16) string {
	b := []byte("\x45\x00\x00\x1c\x00\x00\x00\x00\x40\x11\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02\x9c\x40\x00\x00\x00\x08\x00\x00")
	binary.BigEndian.PutUint16(b[22:], port)
	return string(b)
}

// udp6 is the same with IPv6.
func udp6(port uint16) string {
	b := make([]byte, 48)
	b[0], b[5], b[6], b[7] = 0x60, 8, 17, 64
	copy(b[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	copy(b[24:], netip.MustParseAddr("2001:db8::2").AsSlice())
	binary.BigEndian.PutUint16(b[42:], port)
	b[45] = 8
	return string(b)
}

// frame is a record of a file.
type frame struct {
	link  int // index of the interface, pcapng only
	time  uint64
	data  string
	wire  int // octets on the wire, 0 if all are there
	block uint32
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// pcapFile makes a pcap file; times count in microseconds or nanoseconds,
// whichever the magic number says.
func pcapFile(order byteOrder, magic, link uint32, frames ...frame) string {
	units := uint64(1e6)
	if magic == 0xa1b23c4d {
		units = 1e9
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 96), link)
	for _, f := range frames {
		b = order.AppendUint32(order.AppendUint32(b, uint32(f.time/units)), uint32(f.time%units))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.data))), uint32(max(f.wire, len(f.data))))
		b = append(b, f.data...)
	}
	return string(b)
}

// iface is an interface of a pcapng file; its times count in 10^-resolution
// seconds, or in microseconds if that is 0.
type iface struct {
	link       uint16
	resolution byte
	snap       uint32
}

func pcapngFile(order byteOrder, ifaces []iface, frames ...frame) string {
	block := func(typ uint32, body []byte) string {
		body = append(body, make([]byte, -len(body)&3)...)
		length := uint32(len(body)) + 12
		b := append(order.AppendUint32(order.AppendUint32(nil, typ), length), body...)
		return string(order.AppendUint32(b, length))
	}
	s := block(blockSection, append(order.AppendUint32(nil, sectionMagic),
		append(order.AppendUint16(order.AppendUint16(nil, 1), 0), strings.Repeat("\xff", 8)...)...))
	for _, i := range ifaces {
		b := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, i.link), 0), i.snap)
		if i.resolution != 0 {
			b = order.AppendUint16(order.AppendUint16(b, 9), 1)
			b = append(b, i.resolution, 0, 0, 0, 0, 0, 0, 0)
		}
		s += block(blockInterface, b)
	}
	s += block(5, make([]byte, 12)) // statistics
	s += block(0x0bad, make([]byte, 8))
	for _, f := range frames {
		var b []byte
		switch f.block {
		case blockSimple:
			b = order.AppendUint32(b, uint32(max(f.wire, len(f.data))))
		default:
			f.block = max(f.block, blockEnhanced)
			b = order.AppendUint32(b, uint32(f.link))
			b = order.AppendUint32(order.AppendUint32(b, uint32(f.time>>32)), uint32(f.time))
			b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.data))), uint32(max(f.wire, len(f.data))))
		}
		s += block(f.block, append(b, f.data...))
	}
	return s
}

// readAll reads a file and returns what is in it, a packet a line, and the
// error that ended it.
func readAll(t *testing.T, content string) (string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "trace")
	nettest.Write(t, name, content)
	f, err := OpenFile(name)
	if err != nil {
		return "", errors.New(strings.ReplaceAll(err.Error(), name, "FILE"))
	}
	defer f.Close()
	var b strings.Builder
	for {
		batch, err := f.Next()
		if err == io.EOF {
			return b.String(), nil
		} else if err != nil {
			return b.String(), errors.New(strings.ReplaceAll(err.Error(), name, "FILE"))
		}
		for _, p := range batch {
			fmt.Fprintf(&b, "%s %v > %v:%d %v", p.Time.UTC().Format("05.999999999"), p.Src, p.Dst, p.DstPort, p.Proto)
			if p.IfIndex != 0 {
				fmt.Fprintf(&b, " if %d", p.IfIndex)
			}
			b.WriteByte('\n')
		}
	}
}

const (
	micro = 0xa1b2c3d4
	nano  = 0xa1b23c4d
	mac   = "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
	sll   = "\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00"
	sll2  = "\x00\x00\x00\x00\x00\x07\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00"
	line4 = "01 192.0.2.1 > 192.0.2.2:7000 udp\n"
	line6 = "01 2001:db8::1 > 2001:db8::2:7000 udp\n"
)

func TestLinkTypes(t *testing.T) {
	for _, tt := range []struct {
		name string
		link uint32
		data string
		want string
	}{
		{"null, little endian", 0, "\x02\x00\x00\x00" + udp4(7000), line4},
		{"null, big endian", 0, "\x00\x00\x00\x02" + udp4(7000), line4},
		{"null, FreeBSD's IPv6", 0, "\x1c\x00\x00\x00" + udp6(7000), line6},
		{"null, macOS's IPv6", 0, "\x1e\x00\x00\x00" + udp6(7000), line6},
		{"null and nothing", 0, "\x02\x00\x00\x00", ""},
		{"Ethernet", 1, mac + "\x08\x00" + udp4(7000), line4},
		{"Ethernet IPv6", 1, mac + "\x86\xdd" + udp6(7000), line6},
		{"Ethernet padded", 1, mac + "\x08\x00" + udp4(7000) + strings.Repeat("\x00", 18), line4},
		{"VLAN", 1, mac + "\x81\x00\x00\x0a\x08\x00" + udp4(7000), line4},
		{"QinQ", 1, mac + "\x88\xa8\x00\x0a\x81\x00\x00\x0b\x86\xdd" + udp6(7000), line6},
		{"old QinQ", 1, mac + "\x91\x00\x00\x0a\x81\x00\x00\x0b\x08\x00" + udp4(7000), line4},
		{"VLAN of ARP", 1, mac + "\x81\x00\x00\x0a\x08\x06" + udp4(7000), ""},
		{"VLAN and nothing", 1, mac + "\x81\x00\x00\x0a", ""},
		{"VLAN cut short", 1, mac + "\x81\x00\x00\x0a\x08", ""},
		{"ARP", 1, mac + "\x08\x06" + udp4(7000), ""},
		{"Ethernet cut short", 1, mac + "\x08", ""},
		{"Ethernet and nothing", 1, mac + "\x08\x00", ""},
		{"IEEE 802.3", 1, mac + "\x00\x2e\xaa\xaa\x03\x00\x00\x00\x08\x00" + udp4(7000), ""},
		{"DLT_RAW", 12, udp4(7000), line4},
		{"OpenBSD's DLT_RAW", 14, udp6(7000), line6},
		{"raw", 101, udp4(7000), line4},
		{"raw IPv6", 101, udp6(7000), line6},
		{"raw and nothing", 101, "", ""},
		{"loop", 108, "\x00\x00\x00\x02" + udp4(7000), line4},
		{"cooked", 113, sll + "\x08\x00" + udp4(7000), line4},
		{"cooked IPv6", 113, sll + "\x86\xdd" + udp6(7000), line6},
		{"cooked VLAN", 113, sll + "\x81\x00\x00\x0a\x08\x00" + udp4(7000), line4},
		{"cooked cut short", 113, sll + "\x08", ""},
		{"IPv4", 228, udp4(7000), line4},
		{"IPv6", 229, udp6(7000), line6},
		{"cooked v2", 276, "\x08\x00" + sll2 + udp4(7000), strings.TrimSpace(line4) + " if 7\n"},
		{"cooked v2 IPv6", 276, "\x86\xdd" + sll2 + udp6(7000), strings.TrimSpace(line6) + " if 7\n"},
		{"cooked v2 VLAN", 276, "\x81\x00" + sll2 + "\x00\x0a\x08\x00" + udp4(7000), strings.TrimSpace(line4) + " if 7\n"},
		{"cooked v2 cut short", 276, "\x08\x00" + sll2[:17], ""},
		{"with the octets of the checksum in the link type", 0x50000001, mac + "\x08\x00" + udp4(7000), line4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for format, content := range map[string]string{
				"pcap":   pcapFile(binary.LittleEndian, micro, tt.link, frame{time: 1e6, data: tt.data}),
				"pcapng": pcapngFile(binary.LittleEndian, []iface{{link: uint16(tt.link)}}, frame{time: 1e6, data: tt.data}),
			} {
				if got, err := readAll(t, content); err != nil || got != tt.want {
					t.Errorf("%s: got %q, %v\nwant %q", format, got, err, tt.want)
				}
			}
		})
	}
}

func TestFileFormats(t *testing.T) {
	frames := []frame{
		{time: 1e6 + 5, data: udp4(1)},
		{time: 3e6, data: udp4(2)},
		{time: 2e6, data: udp4(3)}, // never back
		{time: 4e6, data: udp4(4), wire: 29},
		{time: 5e6, data: udp4(5)[:24], wire: 28}, // without its UDP header
	}
	scaled := func(n uint64) []frame {
		s := make([]frame, len(frames))
		for i, f := range frames {
			s[i] = f
			s[i].time *= n
		}
		return s
	}
	var want strings.Builder
	for i, at := range []string{"01.000005", "03", "03", "04"} {
		fmt.Fprintf(&want, "%s 192.0.2.1 > 192.0.2.2:%d udp\n", at, i+1)
	}
	raw := []iface{{link: 101}}
	for name, content := range map[string]string{
		"microseconds":                     pcapFile(binary.LittleEndian, micro, 101, frames...),
		"microseconds, big endian":         pcapFile(binary.BigEndian, micro, 101, frames...),
		"nanoseconds":                      pcapFile(binary.LittleEndian, nano, 101, scaled(1000)...),
		"nanoseconds, big endian":          pcapFile(binary.BigEndian, nano, 101, scaled(1000)...),
		"pcapng":                           pcapngFile(binary.LittleEndian, raw, frames...),
		"pcapng, big endian":               pcapngFile(binary.BigEndian, raw, frames...),
		"pcapng, nanoseconds":              pcapngFile(binary.LittleEndian, []iface{{101, 9, 0}}, scaled(1000)...),
		"pcapng, nanoseconds, big endian":  pcapngFile(binary.BigEndian, []iface{{101, 9, 0}}, scaled(1000)...),
		"pcapng, largest snapshot length":  pcapngFile(binary.LittleEndian, []iface{{101, 0, 1<<32 - 1}}, frames...),
		"pcapng, two sections, two orders": pcapngFile(binary.LittleEndian, raw, frames[:2]...) + pcapngFile(binary.BigEndian, raw, frames[2:]...),
	} {
		if got, err := readAll(t, content); err != nil || got != want.String() {
			t.Errorf("%s: got\n%swant\n%s%v", name, got, want.String(), err)
		}
	}
}

func TestPcapngInterfaces(t *testing.T) {
	content := pcapngFile(binary.LittleEndian, []iface{{link: 1}, {link: 276}, {link: 101, resolution: 9}, {link: 189}},
		frame{time: 1e6, data: mac + "\x08\x00" + udp4(1)},
		frame{link: 1, time: 2e6, data: "\x08\x00" + sll2 + udp4(2)},
		frame{link: 2, time: 3e9, data: udp4(3)},
		frame{link: 3, time: 4e6, data: "usb"},
		frame{link: 0, time: 5e6, data: mac + "\x86\xdd" + udp6(5)},
		frame{block: blockSimple, data: mac + "\x08\x00" + udp4(6)},
	)
	want := `01 192.0.2.1 > 192.0.2.2:1 udp if 1
02 192.0.2.1 > 192.0.2.2:2 udp if 7
03 192.0.2.1 > 192.0.2.2:3 udp if 3
05 2001:db8::1 > 2001:db8::2:5 udp if 1
05 192.0.2.1 > 192.0.2.2:6 udp if 1
`
	if got, err := readAll(t, content); err != nil || got != want {
		t.Errorf("got\n%s%v\nwant\n%s", got, err, want)
	}
}

// TestFileDuplicates reads what was captured on a port and on its bridge.
func TestFileDuplicates(t *testing.T) {
	onPort, onBridge := mac+"\x08\x00"+udp4(1), mac+"\x08\x00"+udp4(1)+"padding"
	content := pcapngFile(binary.LittleEndian, []iface{{link: 1}, {link: 1}},
		frame{link: 0, time: 1000000, data: onPort},
		frame{link: 1, time: 1000001, data: onBridge}, // the same
		frame{link: 0, time: 1020000, data: onPort},   // sent again
		frame{link: 1, time: 1020001, data: onBridge},
		frame{link: 1, time: 1070001, data: onBridge}, // too late for the one before
		frame{link: 1, time: 1070002, data: mac + "\x08\x00" + udp4(2)},
	)
	want := `01 192.0.2.1 > 192.0.2.2:1 udp if 1
01.02 192.0.2.1 > 192.0.2.2:1 udp if 1
01.070001 192.0.2.1 > 192.0.2.2:1 udp if 2
01.070002 192.0.2.1 > 192.0.2.2:2 udp if 2
`
	if got, err := readAll(t, content); err != nil || got != want {
		t.Errorf("got\n%s%v\nwant\n%s", got, err, want)
	}
}

func TestFileFaults(t *testing.T) {
	two := []frame{{time: 1e6, data: udp4(7000)}, {time: 2e6, data: udp4(8000)}}
	pcap := pcapFile(binary.LittleEndian, micro, 101, two...)
	ng := pcapngFile(binary.LittleEndian, []iface{{link: 101}}, two...)
	second := len(ng) - 60
	for _, tt := range []struct{ name, content, got, err string }{
		{"empty", "", "", "read FILE: the file is empty"},
		{"one octet", "x", "", "read FILE: not a capture file: neither pcap nor pcapng"},
		{"text", "hello, world\n", "", "read FILE: not a capture file: neither pcap nor pcapng"},
		{"header cut short", pcap[:20], "", "read FILE: cut short: the record at octet 0 is not complete"},
		{"no packets", pcap[:24], "", ""},
		{"record header cut short", pcap[:24+44+7], line4, "read FILE: cut short: the record at octet 68 is not complete"},
		{"packet missing", pcap[:24+44+16], line4, "read FILE: cut short: the record at octet 68 is not complete"},
		{"packet cut short", pcap[:len(pcap)-1], line4, "read FILE: cut short: the record at octet 68 is not complete"},
		{"huge packet", pcap[:24+44+8] + "\xff\xff\xff\xff" + pcap[24+44+12:], line4,
			"read FILE: before octet 68: malformed: the record at octet 68 claims 4294967311 octets"},
		{"pcapng, too many interfaces", pcapngFile(binary.LittleEndian, make([]iface, 4097), two...), "",
			"read FILE: before octet 81948: malformed: the record at octet 81948 is of one interface too many: at most 4096 are read"},
		{"pcapng, large interface", ng[:28+4] + "\x04\x00\x10\x00" + ng[28+8:], "",
			"read FILE: before octet 28: malformed: the record at octet 28 claims 1048580 octets"},
		{"large packet", pcap[:24+44+8] + "\xff\xff\xff\x07" + pcap[24+44+12:], line4,
			"read FILE: cut short: the record at octet 68 is not complete"},
		{"more captured than sent", pcap[:24+44+12] + "\x01" + pcap[24+44+13:], line4,
			"read FILE: before octet 112: capture length exceeds original packet length: 28 > 1"},
		{"link type", pcapFile(binary.LittleEndian, micro, 105, two...), "", "read FILE: link type 105 is not known"},
		{"version", pcap[:4] + "\x03" + pcap[5:], "", "read FILE: Unknown major version 3"},
		{"pcapng link type", pcapngFile(binary.LittleEndian, []iface{{link: 300}}, two...), "",
			"read FILE: link type 300 is not known"},
		{"pcapng cut short", ng[:len(ng)-1], line4, fmt.Sprintf("read FILE: cut short: the record at octet %d is not complete", second)},
		{"pcapng block header cut short", ng[:second+9], line4, fmt.Sprintf("read FILE: cut short: the record at octet %d is not complete", second)},
		{"pcapng packet of an unknown interface", ng[:second+8] + "\x07" + ng[second+9:], line4,
			fmt.Sprintf("read FILE: before octet %d: Interface id 7 not present in section (have only 1 interfaces)", len(ng))},
		{"pcapng packet longer than its block", ng[:second+20] + "\x1d" + ng[second+21:], line4,
			fmt.Sprintf("read FILE: before octet %d: malformed: the record at octet %d holds less than the 29 octets it claims", second, second)},
		{"pcapng odd block", ng[:second+4] + "\x3d" + ng[second+5:], line4,
			fmt.Sprintf("read FILE: before octet %d: malformed: the record at octet %d claims 61 octets", second, second)},
		{"pcapng short block", ng[:second+4] + "\x1c" + ng[second+5:], line4,
			fmt.Sprintf("read FILE: before octet %d: malformed: the record at octet %d claims 28 octets", second, second)},
		{"pcapng order", ng[:8] + "\x00" + ng[9:], "", "read FILE: malformed: the record at octet 0 has no byte-order magic"},
		{"pcapng resolution", pcapngFile(binary.LittleEndian, []iface{{101, 0xff, 0}}, two...), "",
			"read FILE: before octet 60: malformed: options that cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(t, tt.content)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if got != tt.got || text != tt.err {
				t.Errorf("got %q\n%s\nwant %q\n%s", got, text, tt.got, tt.err)
			}
		})
	}
}

func TestFileMissing(t *testing.T) {
	_, err := OpenFile("testdata/no-such-file")
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "open testdata/no-such-file: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// TestFileLarge: a record that is too large for a packet of ours is passed over.
func TestFileLarge(t *testing.T) {
	large := frame{time: 2e6, data: udp4(1) + strings.Repeat("x", frameLimit)}
	frames := []frame{{time: 1e6, data: udp4(7000)}, large, large, {time: 1e6, data: udp4(7000)}}
	for format, content := range map[string]string{
		"pcap":   pcapFile(binary.LittleEndian, micro, 101, frames...),
		"pcapng": pcapngFile(binary.LittleEndian, []iface{{link: 101}}, frames...),
	} {
		if got, err := readAll(t, content); err != nil || got != line4+line4 {
			t.Errorf("%s: got %q, %v", format, got, err)
		}
	}
}

// TestFileSnapshot: a file that claims to have the largest packets takes no room
// for them.
func TestFileSnapshot(t *testing.T) {
	content := pcapngFile(binary.LittleEndian, []iface{{101, 0, 1<<32 - 1}}, frame{time: 1e6, data: udp4(7000)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got, err := readAll(t, content); err != nil || got != line4 {
		t.Errorf("got %q, %v", got, err)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 16<<20 {
		t.Errorf("%d MiB were taken", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
}

// TestFileHeld: what a batch holds is bounded, too.
func TestFileHeld(t *testing.T) {
	var frames []frame
	for range 100 {
		data := []byte(udp4(1) + strings.Repeat("x", 60_000))
		binary.BigEndian.PutUint16(data[2:], 60_028)
		binary.BigEndian.PutUint16(data[24:], 60_008)
		frames = append(frames, frame{data: string(data)})
	}
	c, err := newFile("FILE", strings.NewReader(pcapFile(binary.LittleEndian, micro, 101, frames...)))
	if err != nil {
		t.Fatal(err)
	}
	for left := len(frames); left > 0; {
		batch, err := c.Next()
		if want := min(left, maxPayloads/60_000+1); err != nil || len(batch) != want {
			t.Fatalf("%d packets of %d, want %d; %v", len(batch), left, want, err)
		}
		if p := batch[0]; len(p.Payload) != 60_000 || p.Octets != nil {
			t.Fatalf("%d octets of payload, and %d of the frame", len(p.Payload), len(p.Octets))
		}
		left -= len(batch)
	}
}

// TestFileBatches: packets that came within four milliseconds come together, 256
// at most, each with its own payload.
func TestFileBatches(t *testing.T) {
	var frames []frame
	add := func(microseconds int) {
		data := []byte(udp4(7000) + fmt.Sprintf("%08d", len(frames)))
		data[3] += 8
		data[25] += 8
		frames = append(frames, frame{time: uint64(microseconds), data: string(data)})
	}
	for _, at := range []int{0, 1000, 3999, 4000, 4001, 8001, 20_000, 20_000} {
		add(at)
	}
	for range 600 {
		add(50_000)
	}
	c, err := newFile("FILE", strings.NewReader(pcapFile(binary.LittleEndian, micro, 101, frames...)))
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for n := 0; ; {
		batch, err := c.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(batch))
		for _, p := range batch {
			if want := fmt.Sprintf("%08d", n); string(p.Payload) != want {
				t.Fatalf("payload %q, want %q", p.Payload, want)
			}
			n++
		}
	}
	if want := []int{3, 2, 1, 2, 256, 256, 88}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v packets, want %v", sizes, want)
	}
}

// TestFilePipe: what came through a pipe is there before the next packet comes.
func TestFilePipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	content := pcapngFile(binary.LittleEndian, []iface{{link: 101}}, frame{data: udp4(1)}, frame{data: udp4(2)},
		frame{time: 1e6, data: udp4(4)}, frame{time: 1e6, data: "\x00 is not IP" + udp4(5)[13:]}, frame{data: udp4(3)})
	last := len(content) - 60
	if _, err := w.WriteString(content[:last+50]); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, want := range []int{2, 1, 1} {
		if batch, err := f.Next(); err != nil || len(batch) != want {
			t.Fatalf("%d packets, %v; want %d", len(batch), err, want)
		}
		if i == 1 {
			if _, err := w.WriteString(content[last+50:]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFileClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trace")
	os.WriteFile(name, []byte(pcapFile(binary.LittleEndian, micro, 101, frame{data: udp4(1)})), 0o600)
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := f.Next(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// FuzzFile checks that no file makes the reader panic, hang or give times
// that decrease, and that what ends it is said only once it is reached.
func FuzzFile(f *testing.F) {
	two := []frame{{time: 2e6, data: udp4(7000)}, {time: 1e6, data: udp4(8000)}}
	f.Add([]byte(pcapFile(binary.LittleEndian, micro, 101, two...)))
	f.Add([]byte(pcapFile(binary.BigEndian, nano, 276, frame{data: "\x08\x00" + sll2 + udp4(1)})))
	f.Add([]byte(pcapngFile(binary.LittleEndian, []iface{{101, 9, 40}}, two...)))
	f.Add([]byte(pcapngFile(binary.BigEndian, []iface{{link: 1}}, frame{data: mac + "\x81\x00\x00\x01\x08\x00" + udp4(1)})))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := newFile("FILE", strings.NewReader(string(content)))
		if err != nil {
			return
		}
		latest := time.Time{}
		for n := 0; ; n++ {
			batch, err := c.Next()
			if err != nil {
				if len(batch) != 0 {
					t.Fatal("packets and an error")
				}
				return
			}
			if len(batch) == 0 || len(batch) > MaxBatch {
				t.Fatalf("batch of %d", len(batch))
			}
			for _, p := range batch {
				if p.Time.Before(latest) {
					t.Fatalf("%v after %v", p.Time, latest)
				}
				latest = p.Time
			}
			if n > len(content) {
				t.Fatal("more packets than octets")
			}
		}
	})
}

// Test2040: a file's 32 bits of seconds have no sign.
func Test2040(t *testing.T) {
	const seconds = 2_214_000_000
	name := filepath.Join(t.TempDir(), "trace")
	for _, content := range []string{
		pcapFile(binary.BigEndian, micro, 101, frame{time: seconds * 1e6, data: udp4(7000)}),
		pcapngFile(binary.LittleEndian, []iface{{link: 101}}, frame{time: seconds * 1e6, data: udp4(7000)}),
	} {
		nettest.Write(t, name, content)
		f, err := OpenFile(name)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := f.Next()
		if err != nil || len(batch) != 1 || batch[0].Time.Unix() != seconds || batch[0].Time.UTC().Year() != 2040 {
			t.Errorf("%+v, %v", batch, err)
		}
		f.Close()
	}
}
