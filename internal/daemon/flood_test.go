package daemon

import (
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/offline"
	"knockd/internal/spa"
)

const knockDoor = "[door]\nsequence = 7000,8000,9000\nopen = tcp/23\n"

// crowd gives the host's door so many clients, of whom the last is the one that
// sends messages.
func (h *host) crowd(clients int) {
	var text strings.Builder
	for i := range clients - 1 {
		fmt.Fprintf(&text, "[c%d]\n%s", i, spa.NewClient("", spa.SHA256).KeyLines())
	}
	h.write("keys", text.String()+"[laptop]\n"+h.keys.KeyLines())
	h.use(h.prepare(knockDoor))
}

// seen makes a batch of what is sent: "junk ADDR", "message ADDR" or "PORT ADDR".
func (h *host) seen(packets ...string) []capture.Captured {
	h.t.Helper()
	var batch []capture.Captured
	for i, p := range packets {
		what, from, _ := strings.Cut(p, " ")
		c := capture.Captured{Time: h.clock}
		c.Hit = knock.Hit{Src: netip.MustParseAddr(from), Dst: local4, SrcPort: 40000, DstPort: spa.DefaultPort, Proto: knock.UDP}
		switch what {
		case "junk":
			c.Payload = []byte("9" + strings.Repeat("A", 1399))
		case "message":
			c.Payload = h.message(0)
		default:
			c.Proto, c.Flags, c.Seq = knock.TCP, knock.SYN, uint32(i)
			fmt.Sscan(what, &c.DstPort)
		}
		c.PayloadLen = len(c.Payload)
		batch = append(batch, c)
	}
	return batch
}

// said returns the lines that a batch leads to.
func (h *host) said(batch []capture.Captured) string {
	h.lines.Flush()
	before := h.log.Len()
	h.d.batch(batch)
	h.settle()
	h.lines.Flush()
	return h.log.String()[before:]
}

// read returns the lines that --read writes of the same batches.
func (h *host) read(all ...[]capture.Captured) string {
	h.t.Helper()
	conf, err := config.Parse("k.conf", []byte(h.conf(knockDoor)))
	if err != nil {
		h.t.Fatal(err)
	}
	var said strings.Builder
	r := offline.Replay{Actions: action.Stopped(), Local: []netip.Addr{local4}, Event: func(_ time.Time, e event.Event) { fmt.Fprintln(&said, e.Text()) }}
	if err := r.Run(conf, &batches{all: all}); err != nil {
		h.t.Fatal(err)
	}
	return said.String()
}

// batches is a Source of batches.
type batches struct{ all [][]capture.Captured }

func (b *batches) Next() ([]capture.Captured, error) {
	if len(b.all) == 0 {
		return nil, io.EOF
	}
	next := b.all[0]
	b.all = b.all[1:]
	return next, nil
}

func (b *batches) Close() error { return nil }

// decided are the lines that say what was decided, without what was then done.
var decided = regexp.MustCompile(`(?m)^.*(Stage|OPEN SESAME|asks for|refused|dropped).*\n`)

func decisionsIn(text string) string {
	return strings.Join(decided.FindAllString(regexp.MustCompile(`(?m)^\[[^]]*\] `).ReplaceAllString(text, ""), -1), "")
}

// TestJunkComesLast: in a flood of junk, knocks are decided on first, then the
// message of another source, and of the junk what is left of the budget;
// the rest is counted. --read decides the same.
func TestJunkComesLast(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	h.crowd(1000)
	flood := slices.Repeat([]string{"junk 198.51.100.66"}, 100)
	packets := slices.Concat(flood, []string{"7000 192.0.2.1"}, flood[:50], []string{"message 192.0.2.2", "8000 192.0.2.1"}, flood[:50], []string{"9000 192.0.2.1"})
	batch := h.seen(packets...)
	unknown := "198.51.100.66: SPA packet refused: made with no key of this host\n"
	got := decisionsIn(h.said(batch))
	dropped := 200 - strings.Count(got, unknown)
	want := "192.0.2.1: door: Stage 1\n192.0.2.1: door: Stage 2\n192.0.2.1: door: Stage 3\n192.0.2.1: door: OPEN SESAME\n" +
		strings.Repeat(unknown, 200-dropped) +
		fmt.Sprintf("SPA packets dropped: %d came with too many others to try all keys on\n", dropped) +
		"192.0.2.2: ssh: client laptop asks for tcp/22 for 192.0.2.2 (10 s)\n192.0.2.2: ssh: OPEN SESAME\n"
	if got != want || dropped < 190 {
		t.Errorf("said\n%swant\n%s", got, want)
	}
	// There the message is admitted at once.
	sorted := func(s string) []string { return slices.Sorted(strings.Lines(s)) }
	if read := decisionsIn(h.read(batch)); !slices.Equal(sorted(read), sorted(want)) {
		t.Errorf("--read says\n%swant\n%s", read, want)
	}
}

// TestFewComeInTurn: the lines of a batch that is not dear stand in the order of
// its packets.
func TestFewComeInTurn(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	h.crowd(1000)
	batch := h.seen("junk 198.51.100.1", "7000 192.0.2.1", "junk 198.51.100.2", "8000 192.0.2.1", "junk 198.51.100.3")
	const want = `198.51.100.1: SPA packet refused: made with no key of this host
192.0.2.1: door: Stage 1
198.51.100.2: SPA packet refused: made with no key of this host
192.0.2.1: door: Stage 2
198.51.100.3: SPA packet refused: made with no key of this host
`
	if got := decisionsIn(h.said(batch)); got != want {
		t.Errorf("said\n%swant\n%s", got, want)
	}
	if got := decisionsIn(h.read(batch)); got != want {
		t.Errorf("--read says\n%swant\n%s", got, want)
	}
}

// TestDroppedAreTold: at once, and then from time to time, until all are.
func TestDroppedAreTold(t *testing.T) {
	h := newHost(t)
	h.crowd(1000)
	var all [][]capture.Captured
	for i := range 25 {
		h.clock = noon.Add(time.Duration(i) * time.Second)
		all = append(all, h.seen(slices.Repeat([]string{"junk 198.51.100.66"}, 100)...))
	}
	refused, told, dropped := 0, 0, 0
	for line := range strings.Lines(h.read(all...)) {
		n := 0
		if fmt.Sscanf(line, "SPA packets dropped: %d came", &n); n > 0 {
			told++
			dropped += n
		} else {
			refused++
		}
	}
	if told != 4 || refused+dropped != 2500 { // after 0, 10, 20 and 30 seconds
		t.Errorf("%d lines tell of %d, and %d refused", told, dropped, refused)
	}
}

// TestDropsAreTold: what the kernel has dropped is told however many lines
// strangers cause, and at the end.
func TestDropsAreTold(t *testing.T) {
	inWorld(t, "[options]\nLogRate = 1\n[a]\nsequence = 1,2\nseq_timeout = 3600\n", func(w *world) {
		for i := range 5 {
			w.packet.drops.Add(7)
			w.knock(fmt.Sprintf("192.0.2.%d", i+1), 1)
		}
		const line = "the kernel dropped %d packets that came faster than they could be read\n"
		if got := w.said(); !strings.Contains(got, fmt.Sprintf(line, 7)) {
			t.Errorf("said\n%s", got)
		}
		time.Sleep(10 * time.Second)
		if got := w.said(); !strings.Contains(got, fmt.Sprintf(line, 28)) {
			t.Errorf("said\n%s", got)
		}
		w.packet.drops.Add(3)
		w.knock("192.0.2.9", 1)
		w.stop()
		synctest.Wait()
		if got := w.said(); !strings.Contains(got, fmt.Sprintf(line, 3)) {
			t.Errorf("said\n%s", got)
		}
	})
}
