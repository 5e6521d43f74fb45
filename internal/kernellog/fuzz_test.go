package kernellog

import (
	"strings"
	"testing"
	"time"

	"github.com/florianl/go-nflog/v2"

	"knockd/internal/packet"
)

// FuzzEntry reads what the kernel may send along with a packet: what the decoder
// knows as a packet makes an entry with its source, and nothing else does
// anything but be left out.
func FuzzEntry(f *testing.F) {
	four := append([]byte{0x45, 3: 28, 8: 64, 9: 17, 11: 0}, "\xc0\x00\x02\x07\x0a\x00\x00\x01\x9c\x40\x1b\x58\x00\x08\x00\x00"...)
	six := make([]byte, 48)
	six[0], six[5], six[6], six[8], six[9], six[23], six[24], six[25] = 0x60, 8, 17, 0x20, 0x01, 7, 0x20, 0x01
	six[45] = 8
	f.Add("ssh: Stage 1\x00", four, int64(0), uint8(7))
	f.Add("ssh: OPEN SESAME", six, int64(1764000000), uint8(7))
	f.Add("", four[:19], int64(-1), uint8(7))
	f.Add("\x00\x00", six[:39], int64(1<<62), uint8(7))
	f.Add("x", []byte{}, int64(5), uint8(3))
	f.Fuzz(func(t *testing.T, prefix string, payload []byte, stamp int64, has uint8) {
		var a nflog.Attribute
		at := time.Unix(stamp, 0)
		if has&1 != 0 {
			a.Prefix = &prefix
		}
		if has&2 != 0 {
			a.Payload = &payload
		}
		if has&4 != 0 {
			a.Timestamp = &at
		}
		before := time.Now()
		e, ok := entry(a)
		p, isPacket := new(packet.Decoder).Decode(payload, len(payload))
		switch {
		case !ok && has&3 == 3 && isPacket && untagged(payload, p):
			t.Fatalf("%x: left out, and it is a packet of %v", payload, p.Src)
		case !ok:
			return
		case has&3 != 3:
			t.Fatal("an entry without prefix or packet")
		case !e.Src.IsValid() || e.Src.Zone() != "":
			t.Fatalf("source %v", e.Src)
		case isPacket && untagged(payload, p) && e.Src != p.Src:
			t.Fatalf("%x: source %v, want %v", payload, e.Src, p.Src)
		case strings.HasSuffix(e.Prefix, "\x00") || !strings.HasPrefix(prefix, e.Prefix):
			t.Fatalf("prefix %q of %q", e.Prefix, prefix)
		case a.Timestamp != nil && !at.IsZero() && !e.Time.Equal(at):
			t.Fatalf("time %v, want %v", e.Time, at)
		case a.Timestamp == nil && e.Time.Before(before):
			t.Fatalf("time %v, want now", e.Time)
		}
	})
}

// untagged reports whether the packet begins where the octets do: the kernel's log
// has no VLAN tags.
func untagged(octets []byte, p packet.Packet) bool {
	return len(p.Octets) > 0 && &p.Octets[0] == &octets[0]
}
