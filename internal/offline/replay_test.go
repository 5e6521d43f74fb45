package offline

import (
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// played is a source of packets written as "SECONDS SOURCE PORT[:udp] [LENGTH]".
type played struct{ packets []capture.Captured }

func play(t *testing.T, text string) *played {
	t.Helper()
	p := &played{}
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var at, length int
		var src, step string
		if k, err := fmt.Sscan(line, &at, &src, &step, &length); k < 3 {
			t.Fatal(line, err)
		}
		port, proto, _ := strings.Cut(step, ":")
		h := knock.Hit{Src: netip.MustParseAddr(src), Dst: local4, SrcPort: 40000, Proto: knock.TCP, Flags: knock.SYN,
			Seq: uint32(n), PayloadLen: length}
		if h.Src.Is6() {
			h.Dst = local6
		}
		if proto == "udp" {
			h.Proto, h.Flags = knock.UDP, 0
		}
		fmt.Sscan(port, &h.DstPort)
		c := capture.Captured{Time: time.Unix(int64(at), 0)}
		c.Hit = h
		p.packets = append(p.packets, c)
	}
	return p
}

var local4, local6 = netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("fd09::9")

func (p *played) Next() ([]capture.Captured, error) {
	if p.packets == nil {
		return nil, io.EOF
	}
	all := p.packets
	p.packets = nil
	return all, nil
}

func (p *played) Close() error { return nil }

// replay returns the lines of --read, each with its second.
func replay(t *testing.T, conf, packets string) string {
	t.Helper()
	c, err := config.Parse("k.conf", []byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := Replay{Actions: action.Stopped(), Local: []netip.Addr{local4, local6}, Event: func(at time.Time, e event.Event) {
		fmt.Fprintf(&out, "%d %s\n", at.Unix(), e.Text())
	}}
	if err := r.Run(c, play(t, packets)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestReplay: each file of testdata has a configuration, packets and the lines
// that they lead to.
func TestReplay(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) < 6 {
		t.Fatalf("%d files", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 3 {
				t.Fatalf("%d parts, %v", len(a.Files), err)
			}
			a.Files[2].Data = []byte(replay(t, string(a.Files[0].Data), string(a.Files[1].Data)))
			nettest.Golden(t, file, string(txtar.Format(a)))
		})
	}
}

// TestCrowded: attempts that had to make room are told, not one by one, and
// none of them is left untold.
func TestCrowded(t *testing.T) {
	const conf = "[options]\nMaxAttempts = 2\n[guest]\nsequence = 1,2\nseq_timeout = 30\n[admin]\nsequence = 3,4\ncommand = a\n"
	var packets strings.Builder
	for i := range 8 {
		fmt.Fprintf(&packets, "%d 192.0.2.%d 1\n", i*2, i+1)
	}
	var got strings.Builder
	for line := range strings.Lines(replay(t, conf, packets.String()+"14 192.0.2.9 3\n15 192.0.2.9 4\n")) {
		if !strings.Contains(line, "Stage") {
			got.WriteString(line)
		}
	}
	want := `4 MaxAttempts (2) reached: attempts given up: 1, at last the oldest at guest
14 MaxAttempts (2) reached: attempts given up: 4, at last the oldest at guest
15 192.0.2.9: admin: OPEN SESAME
15 admin: running command: a
24 MaxAttempts (2) reached: attempts given up: 2, at last the oldest at guest
44 192.0.2.8: guest: sequence timeout (stage 1)
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
