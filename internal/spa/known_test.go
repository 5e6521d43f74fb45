package spa

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"knockd/internal/knock"
)

// verifierOfMany is a verifier whose one door has many clients.
func verifierOfMany(n int) (*Verifier, []Client) {
	var clients []Client
	for i := range n {
		clients = append(clients, testClient(fmt.Sprint(i)))
	}
	return NewVerifier([]*Door{wideDoor(clients...)}, memory{}), clients
}

// trials returns how many keys were tried on packets while f ran.
func trials(v *Verifier, f func()) (n int) {
	before := v.round
	f()
	for _, states := range v.keys {
		for _, s := range states {
			if s.round > before {
				n++
			}
		}
	}
	return n
}

// TestKnown: what was used, or is too old, is refused without a key, with the
// same words as at first, and costs no memory.
func TestKnown(t *testing.T) {
	verifier, clients := verifierOfMany(50)
	verifier.doors[0].Open = []knock.PortRange{{Proto: 6, First: 22, Last: 22}}
	refused := access("10.1.2.3", "tcp/80")
	for _, c := range []struct {
		name        string
		msg         Message
		later       time.Duration
		first, then string
	}{
		{"opened", access("10.1.2.3", "tcp/22"), 0, "door 49 opened [tcp/22] for 10.1.2.3, 30s", "replay: door 49 used before"},
		{"denied", refused, 0, "denied: door 49 tcp/80 is not in open", "replay: door 49 used before"},
		{"too old", access("10.1.2.4", "tcp/22"), 121 * time.Second,
			"untimely: door 49 121 s too old (limit 120 s), check the clocks", "untimely: door 49 121 s too old (limit 120 s), check the clocks"},
	} {
		p := packet(mustSeal(t, c.msg, clients[49]), "192.0.2.1")
		now := noon.Add(c.later)
		if got := outcome(verifier.Decide(p, now)); got != c.first {
			t.Errorf("%s: %s, want %s", c.name, got, c.first)
		}
		for _, src := range []string{"192.0.2.1", "198.51.100.66"} {
			p := packet(p.Payload, src)
			var d Verdict
			if n := trials(verifier, func() { _, d = verifier.Examine(p, now) }); n != 0 || outcome(d) != c.then || d.Src != p.Src {
				t.Errorf("%s, again from %s: %d keys tried: %s, want %s", c.name, src, n, outcome(d), c.then)
			}
		}
		if n := testing.AllocsPerRun(100, func() { verifier.Examine(p, now) }); n != 0 {
			t.Errorf("%s, again: %v allocations", c.name, n)
		}
		if got, want := outcome(verifier.Decide(p, noon.Add(time.Hour))), "untimely: door 49 3600 s too old (limit 120 s), check the clocks"; got != want {
			t.Errorf("%s, an hour later: %s, want %s", c.name, got, want)
		}
	}
}

// TestKnownHere: who replays a packet where it opens nothing does not keep it
// from opening where it does.
func TestKnownHere(t *testing.T) {
	c := testClient("a")
	strict, wide := wideDoor(c), wideDoor(c)
	strict.Name, strict.MaxAge = "strict", 10*time.Second
	wide.Name, wide.Allow = "wide", prefixes("192.0.2.0/24")
	wide.AllowInside = prefixes("10.0.0.0/8")
	verifier := NewVerifier([]*Door{strict, wide}, memory{})
	payload := mustSeal(t, access("10.1.2.3", "tcp/22"), c)
	for _, x := range []struct {
		src  string
		late int
		want string
	}{
		{"198.51.100.66", 20, "untimely: strict a 20 s too old (limit 10 s), check the clocks"},
		{"198.51.100.66", 21, "untimely: strict a 21 s too old (limit 10 s), check the clocks"},
		{"192.0.2.1", 22, "wide a opened [tcp/22] for 10.1.2.3, 30s"},
		{"192.0.2.1", 23, "replay: wide a used before"},
		{"198.51.100.66", 24, "untimely: strict a 24 s too old (limit 10 s), check the clocks"},
		{"198.51.100.66", 5, "replay: strict a used before"},
		{"192.0.2.1", 6, "replay: strict a used before"},
	} {
		now := noon.Add(time.Duration(x.late) * time.Second)
		if got := outcome(verifier.Decide(packet(payload, x.src), now)); got != x.want {
			t.Errorf("%s after %d s: %s\nwant %s", x.src, x.late, got, x.want)
		}
	}
}

// TestKnownBounded: no number of packets makes the table larger, and what it has
// forgotten is refused by its token.
func TestKnownBounded(t *testing.T) {
	c := testClient("a")
	verifier := NewVerifier([]*Door{wideDoor(c)}, memory{})
	var first [][]byte
	for i := range maxKnown + 100 {
		m := access("10.1.2.3", "tcp/22")
		m.User = fmt.Sprint(i)
		p := mustSeal(t, m, c)
		if i < 10 {
			first = append(first, p)
		}
		if r, d := verifier.Examine(packet(p, "192.0.2.1"), noon); r == nil {
			t.Fatal(outcome(d))
		}
	}
	if n := len(verifier.known.packets); n != maxKnown || len(verifier.known.order) != maxKnown {
		t.Errorf("%d packets known", n)
	}
	for _, p := range first {
		for _, want := range []int{1, 0} { // tried once, and known again
			var d Verdict
			if n := trials(verifier, func() { _, d = verifier.Examine(packet(p, "192.0.2.1"), noon) }); n != want || d.Outcome != Replay {
				t.Errorf("%d keys tried, %s", n, outcome(d))
			}
		}
	}
}

// TestUsedUpUnadmitted: a request that nobody admits is used up all the same.
func TestUsedUpUnadmitted(t *testing.T) {
	c := testClient("a")
	verifier := NewVerifier([]*Door{wideDoor(c)}, memory{})
	p := packet(mustSeal(t, access("0.0.0.0", "tcp/22"), c), "192.0.2.1")
	r, _ := verifier.Examine(p, noon)
	if got, want := r.Refuse("too many").Event().Text(), "192.0.2.1: door (a): SPA packet refused: too many"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p.Src = netip.MustParseAddr("198.51.100.66")
	if got, want := outcome(verifier.Decide(p, noon)), "replay: door a used before"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
