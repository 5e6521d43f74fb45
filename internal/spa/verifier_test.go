package spa

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/replaycache"
)

var noon = time.Unix(1795330800, 0)

func testClient(name string) Client {
	return Client{Name: name, Key: []byte("key of " + name), HMACKey: []byte("hmac of " + name), HMAC: SHA256}
}

func access(addr, ports string) Message {
	m := Message{User: "tester", Time: noon, Type: Access}
	m.Address, _ = netip.ParseAddr(addr)
	m.Ports, _ = ParsePorts(ports)
	return m
}

func mustSeal(t testing.TB, m Message, c Client) []byte {
	t.Helper()
	p, err := Seal(m, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outcome is a decision in one line.
func outcome(d Verdict) string {
	if d.Outcome != Opened {
		return strings.TrimSpace(d.Outcome.String() + ": " + strings.TrimSpace(d.Door.Name+" "+d.Client+" "+d.Reason))
	}
	s := fmt.Sprintf("%s %s opened %v for %v, %v", d.Door.Name, d.Client, knock.PortsOf(d.Grant.Ports), d.Grant.Addr, d.Grant.Timeout)
	if n := d.Grant.NAT; n != nil {
		s += fmt.Sprintf(" to %s:%d local=%v", n.Host, n.Port, d.Grant.Local)
	}
	return s
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestPolicy(t *testing.T) {
	tcp := func(a, b uint16) []knock.PortRange { return []knock.PortRange{{Proto: knock.TCP, First: a, Last: b}} }
	nat := access("10.1.2.3", "tcp/2222")
	nat.Type, nat.NAT = NATAccess, NATTarget{Host: "10.5.5.5", Port: 22}
	natName := nat
	natName.NAT.Host = "inner.example.com"
	localNAT := nat
	localNAT.Type, localNAT.Timeout = LocalNATTimed, time.Minute
	natTwo := nat
	natTwo.Ports, _ = ParsePorts("tcp/1,tcp/2")
	inner := []knock.NATTarget{{Net: netip.MustParsePrefix("10.5.5.0/24"), Ports: knock.PortRange{Proto: knock.TCP, First: 22, Last: 22}}}
	long := access("10.1.2.3", "tcp/22")
	long.Type, long.Timeout = AccessTimed, time.Hour
	short := long
	short.Timeout = 5 * time.Second
	asked0 := long
	asked0.Timeout = 0
	for _, c := range []struct {
		name string
		door func(d *Door)
		msg  Message
		src  string
		want string
	}{
		{"plain", nil, access("10.1.2.3", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"ports in order, once", nil, access("10.1.2.3", "udp/53,tcp/22,udp/53"), "192.0.2.1", "door a opened [udp/53 tcp/22] for 10.1.2.3, 30s"},
		{"sender", nil, access("0.0.0.0", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 192.0.2.1, 30s"},
		{"mapped sender", nil, access("0.0.0.0", "tcp/22"), "::ffff:192.0.2.1", "door a opened [tcp/22] for 192.0.2.1, 30s"},
		{"sender not named", func(d *Door) { d.RequireSource = true }, access("0.0.0.0", "tcp/22"), "192.0.2.1",
			"denied: door a it leaves the address to the sender; require_source wants it named"},
		{"loopback", nil, access("127.0.0.1", "tcp/22"), "192.0.2.1", "denied: door a the address to open is unspecified, loopback, multicast or has a zone"},
		{"multicast", nil, access("224.0.0.1", "tcp/22"), "192.0.2.1", "denied: door a the address to open is unspecified, loopback, multicast or has a zone"},
		{"loopback sender", nil, access("0.0.0.0", "tcp/22"), "127.0.0.1", "denied: door a the address to open is unspecified, loopback, multicast or has a zone"},
		{"IPv6 sender", nil, access("0.0.0.0", "tcp/22"), "2001:db8::1", "junk: from where, to where or in a way that no door with keys takes"},
		{"IPv6 sender with spa_ipv6", func(d *Door) { d.IPv6 = true }, access("0.0.0.0", "tcp/22"), "2001:db8::1", "door a opened [tcp/22] for 2001:db8::1, 30s"},
		{"IPv6 inside", nil, access("2001:db8::1", "tcp/22"), "192.0.2.1", "denied: door a the address to open is IPv6; the door lacks spa_ipv6 = yes"},
		{"IPv6 inside with spa_ipv6", func(d *Door) { d.IPv6 = true }, access("2001:db8::1", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 2001:db8::1, 30s"},
		{"sender not allowed", func(d *Door) { d.Allow = prefixes("192.0.2.0/24") }, access("192.0.2.3", "tcp/22"), "198.51.100.1", "junk: from where, to where or in a way that no door with keys takes"},
		{"inside not allowed", func(d *Door) { d.Allow = prefixes("192.0.2.0/24") }, access("10.1.2.3", "tcp/22"), "192.0.2.1",
			"denied: door a the address to open, 10.1.2.3, is not in allow or allow_inside"},
		{"inside allowed more", func(d *Door) { d.Allow, d.AllowInside = prefixes("192.0.2.0/24"), prefixes("10.0.0.0/8") },
			access("10.1.2.3", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"sender denied", func(d *Door) { d.Deny = prefixes("192.0.2.0/24") }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "junk: from where, to where or in a way that no door with keys takes"},
		{"inside denied", func(d *Door) { d.Deny, d.AllowInside = prefixes("10.0.0.0/8"), prefixes("10.0.0.0/8") }, access("10.1.2.3", "tcp/22"), "192.0.2.1",
			"denied: door a the address to open, 10.1.2.3, is in deny"},
		{"port not open", func(d *Door) { d.Open = tcp(22, 22) }, access("10.1.2.3", "tcp/22,tcp/80"), "192.0.2.1", "denied: door a tcp/80 is not in open"},
		{"protocol not open", func(d *Door) { d.Open = tcp(22, 22) }, access("10.1.2.3", "udp/22"), "192.0.2.1", "denied: door a udp/22 is not in open"},
		{"nothing open", func(d *Door) { d.Open = nil }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "denied: door a tcp/22 is not in open"},
		{"port allowed for commands", func(d *Door) { d.Open, d.AllowPorts = tcp(22, 22), tcp(80, 80) }, access("10.1.2.3", "tcp/22,tcp/80"), "192.0.2.1", "door a opened [tcp/22 tcp/80] for 10.1.2.3, 30s"},
		{"port allowed nowhere", func(d *Door) { d.Open, d.AllowPorts = nil, tcp(80, 80) }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "denied: door a tcp/22 is not in open or allow_ports"},
		{"port allowed and denied", func(d *Door) { d.AllowPorts, d.DenyPorts = tcp(80, 80), tcp(80, 80) }, access("10.1.2.3", "tcp/80"), "192.0.2.1", "denied: door a tcp/80 is in deny_ports"},
		{"NAT of a port for commands", func(d *Door) { d.NAT, d.Open, d.AllowPorts = inner, nil, tcp(2222, 2222) }, nat, "192.0.2.1",
			"denied: door a it asks for NAT of tcp/2222, which is not in open"},
		{"port denied", func(d *Door) { d.DenyPorts = tcp(22, 23) }, access("10.1.2.3", "tcp/80,tcp/23"), "192.0.2.1", "denied: door a tcp/23 is in deny_ports"},
		{"user", func(d *Door) { d.RequireUser = "Tester" }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "denied: door a not the user name that require_user asks for"},
		{"expired", func(d *Door) { d.Expires = noon }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "denied: door a the door's expiry date has passed"},
		{"expires later", func(d *Door) { d.Expires = noon.Add(1) }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"destination", func(d *Door) { d.Destination = prefixes("10.9.9.3/32") }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "junk: from where, to where or in a way that no door with keys takes"},
		{"timeout capped", nil, long, "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 5m0s"},
		{"timeout asked", nil, short, "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 5s"},
		{"timeout 0 is not asked", nil, asked0, "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"no cap is no wish", func(d *Door) { d.MaxTimeout = 0 }, long, "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"own timeout not capped", func(d *Door) { d.Timeout = time.Hour }, access("10.1.2.3", "tcp/22"), "192.0.2.1", "door a opened [tcp/22] for 10.1.2.3, 1h0m0s"},
		{"NAT", nil, nat, "192.0.2.1", "denied: door a it asks for NAT, which the door does not allow"},
		{"NAT allowed", func(d *Door) { d.NAT = inner }, nat, "192.0.2.1", "door a opened [tcp/2222] for 10.1.2.3, 30s to 10.5.5.5:22 local=false"},
		{"local NAT allowed", func(d *Door) { d.NAT = inner }, localNAT, "192.0.2.1", "door a opened [tcp/2222] for 10.1.2.3, 1m0s to 10.5.5.5:22 local=true"},
		{"NAT, local alone allowed", func(d *Door) { d.NAT, d.NoForward = inner, true }, nat, "192.0.2.1",
			"denied: door a it asks for NAT to another host, and the door takes local NAT alone (nat_only)"},
		{"local NAT, local alone allowed", func(d *Door) { d.NAT, d.NoForward = inner, true }, localNAT, "192.0.2.1", "door a opened [tcp/2222] for 10.1.2.3, 1m0s to 10.5.5.5:22 local=true"},
		{"local NAT, other hosts alone allowed", func(d *Door) { d.NAT, d.NoLocal = inner, true }, localNAT, "192.0.2.1",
			"denied: door a it asks for local NAT, and the door takes NAT to other hosts alone (nat_only)"},
		{"NAT, other hosts alone allowed", func(d *Door) { d.NAT, d.NoLocal = inner, true }, nat, "192.0.2.1", "door a opened [tcp/2222] for 10.1.2.3, 30s to 10.5.5.5:22 local=false"},
		{"NAT to a name", func(d *Door) { d.NAT = inner }, natName, "192.0.2.1", "denied: door a it asks for NAT to a name; only addresses are taken"},
		{"NAT of two ports", func(d *Door) { d.NAT = inner }, natTwo, "192.0.2.1", "denied: door a it asks for NAT of more than one port"},
		{"NAT elsewhere", func(d *Door) {
			d.NAT = []knock.NATTarget{{Net: netip.MustParsePrefix("10.5.5.5/32"), Ports: knock.PortRange{Proto: knock.TCP, First: 80, Last: 80}}}
		}, nat, "192.0.2.1",
			"denied: door a it asks for NAT to 10.5.5.5 tcp/22, which is not in nat_allow"},
	} {
		door := wideDoor(testClient("a"))
		if c.door != nil {
			c.door(door)
		}
		verifier := NewVerifier([]*Door{door}, memory{})
		p := packet(mustSeal(t, c.msg, testClient("a")), c.src)
		if got := outcome(verifier.Decide(p, noon)); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestMappedInside(t *testing.T) {
	c := testClient("a")
	for inside, want := range map[string]string{
		"::ffff:10.1.2.3":  "door a opened [tcp/22] for 10.1.2.3, 30s",
		"::":               "door a opened [tcp/22] for 192.0.2.1, 30s",
		"::ffff:0.0.0.0":   "door a opened [tcp/22] for 192.0.2.1, 30s",
		"::ffff:127.0.0.1": "denied: door a the address to open is unspecified, loopback, multicast or has a zone",
		"010.1.2.3":        "door a opened [tcp/22] for 8.1.2.3, 30s",
		"fe80::1%eth0":     "faulty: door a message: address: not an address",
		"1.2.3":            "faulty: door a message: address: not an address",
		"1.2.3.08":         "faulty: door a message: address: not an address",
		"1.2.3.4.":         "faulty: door a message: address: not an address",
		"0x1.2.3.4":        "faulty: door a message: address: not an address",
		"+1.2.3.4":         "faulty: door a message: address: not an address",
	} {
		verifier := NewVerifier([]*Door{wideDoor(c)}, memory{})
		if got := outcome(verifier.Decide(packet(sealText(t, c, rawBody(inside+",tcp/22")), "192.0.2.1"), noon)); got != want {
			t.Errorf("%s: %s\nwant %s", inside, got, want)
		}
	}
}

// rawBody is an access message with any content.
func rawBody(content string) string {
	return fmt.Sprintf("1234567890123456:%s:%d:3.0.0:1:%s", b64.EncodeToString([]byte("tester")), noon.Unix(), b64.EncodeToString([]byte(content)))
}

func sealText(t testing.TB, c Client, body string) []byte {
	t.Helper()
	p, err := seal([]byte(body), c, SHA256, []byte("saltsalt"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNoListener: what no door listens to is junk, whatever it has in it.
func TestNoListener(t *testing.T) {
	c := testClient("a")
	door := wideDoor(c)
	door.Listen = append(door.Listen, knock.PortRange{Proto: knock.TCP, First: 400, Last: 500})
	for name, change := range map[string]func(p *Packet) string{
		"udp":              func(p *Packet) string { return "opened" },
		"other port":       func(p *Packet) string { p.DstPort = 62202; return "junk" },
		"not local":        func(p *Packet) string { p.Local = false; return "junk" },
		"tcp port not udp": func(p *Packet) string { p.DstPort = 443; return "junk" },
		"tcp without flags": func(p *Packet) string {
			p.Proto, p.DstPort = knock.TCP, 443
			return "junk"
		},
		"tcp SYN": func(p *Packet) string {
			p.Proto, p.DstPort, p.Flags = knock.TCP, 443, knock.SYN
			return "opened"
		},
		"tcp SYN ACK": func(p *Packet) string {
			p.Proto, p.DstPort, p.Flags = knock.TCP, 443, knock.SYN|knock.ACK
			return "junk"
		},
		"tcp data": func(p *Packet) string {
			p.Proto, p.DstPort, p.Flags = knock.TCP, 443, knock.PSH|knock.ACK
			return "junk"
		},
	} {
		p := packet(mustSeal(t, access("10.1.2.3", "tcp/22"), c), "192.0.2.1")
		want := change(&p)
		if got := NewVerifier([]*Door{door}, memory{}).Decide(p, noon).Outcome.String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestDoors: which of several doors opens, and what is said if none does.
func TestDoors(t *testing.T) {
	a, b := testClient("a"), testClient("b")
	wrongKey := b
	wrongKey.Name, wrongKey.Key = "wrong", []byte("another")
	door := func(name string, port uint16, clients ...Client) *Door {
		d := wideDoor(clients...)
		d.Name, d.Open = name, []knock.PortRange{{Proto: knock.TCP, First: port, Last: port}}
		return d
	}
	strict := door("strict", 22, b)
	strict.MaxAge = 10 * time.Second
	for _, c := range []struct {
		name  string
		doors []*Door
		late  time.Duration
		want  string
	}{
		{"the one with the keys", []*Door{door("1", 22, a), door("2", 22, b)}, 0, "2 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"the first of two", []*Door{door("1", 22, b), door("2", 22, b)}, 0, "1 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"the second client", []*Door{door("1", 22, a, b)}, 0, "1 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"the one that agrees", []*Door{door("1", 80, b), door("2", 22, b)}, 0, "2 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"the one for which it is in time", []*Door{strict, door("2", 22, b)}, 20 * time.Second, "2 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"wrong encryption key first", []*Door{door("1", 22, wrongKey), door("2", 22, b)}, 0, "2 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"wrong encryption key only", []*Door{door("1", 22, wrongKey)}, 0, "faulty: 1 wrong does not decrypt with this key"},
		{"nobody agrees", []*Door{door("1", 80, b), door("2", 81, b)}, 0, "denied: 1 b tcp/22 is not in open"},
		{"nobody's keys", []*Door{door("1", 22, a)}, 0, "unknown: made with no key of this host"},
		{"no doors", nil, 0, "junk: from where, to where or in a way that no door with keys takes"},
		{"late", []*Door{door("1", 22, a), strict}, 21 * time.Second, "untimely: strict b 21 s too old (limit 10 s), check the clocks"},
		{"at the limit", []*Door{door("1", 22, b)}, 120 * time.Second, "1 b opened [tcp/22] for 10.1.2.3, 30s"},
		{"late by one", []*Door{door("1", 22, b)}, 121 * time.Second, "untimely: 1 b 121 s too old (limit 120 s), check the clocks"},
		{"early by one", []*Door{door("1", 22, b)}, -121 * time.Second, "untimely: 1 b 121 s too early (limit 120 s), check the clocks"},
	} {
		p := packet(mustSeal(t, access("10.1.2.3", "tcp/22"), b), "192.0.2.1")
		if got := outcome(NewVerifier(c.doors, memory{}).Decide(p, noon.Add(c.late))); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestUsedUp: what a door denies is used up; what is not ours, faulty or
// untimely is not.
func TestUsedUp(t *testing.T) {
	c := testClient("a")
	door := wideDoor(c)
	door.Open = []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}}
	store := memory{}
	verifier := NewVerifier([]*Door{door}, store)
	p := packet(mustSeal(t, access("10.1.2.3", "tcp/80"), c), "192.0.2.1")
	for _, want := range []string{"untimely", "denied", "replay"} {
		now := noon
		if want == "untimely" {
			now = noon.Add(time.Hour)
		}
		if got := verifier.Decide(p, now); got.Outcome.String() != want {
			t.Errorf("%s: %s", want, outcome(got))
		}
	}
	verifier.Decide(packet(mustSeal(t, access("10.1.2.3", "tcp/80"), testClient("b")), "192.0.2.1"), noon)
	if len(store) != 1 {
		t.Errorf("%d tokens in the store", len(store))
	}
}

// failing is a Once that is closed, or without a disk to write to.
type failing struct{ closed bool }

func (f failing) Enter(Token, time.Time, time.Time) (func() error, error) {
	if f.closed {
		return nil, errors.New("store: file already closed")
	}
	return func() error { return errors.New("write store: no space left on device") }, nil
}

func TestStoreFault(t *testing.T) {
	c := testClient("a")
	p := packet(mustSeal(t, access("10.1.2.3", "tcp/22"), c), "192.0.2.1")
	verifier := NewVerifier([]*Door{wideDoor(c)}, failing{closed: true})
	for range 2 { // nothing is said to be used that is not
		if got, want := outcome(verifier.Decide(p, noon)), "store-fault: door a replay store: store: file already closed"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	d := NewVerifier([]*Door{wideDoor(c)}, failing{}).Decide(p, noon)
	if got, want := outcome(d), "store-fault: door a replay store: write store: no space left on device"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, v := range []Outcome{Junk, Opened} {
		if (Verdict{Outcome: v, Src: d.Src}).Logged() {
			t.Errorf("%v: logged", v)
		}
	}
	if got, want := d.Event().Text(), "192.0.2.1: door (a): SPA packet refused: replay store: write store: no space left on device"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestReplay: whoever heard a packet opens nothing with it, however it is
// spelled, and neither a restart nor a clock set back nor a lost store helps.
func TestReplay(t *testing.T) {
	hmac := testClient("a")
	bare := Client{Name: "bare", Key: []byte("a key")}
	legacy := Client{Name: "legacy", Key: []byte("0123456789abcdef"), Mode: Legacy}
	sha512 := hmac
	sha512.Name, sha512.HMAC = "sha512", SHA512
	for _, c := range []Client{hmac, bare, legacy, sha512} {
		t.Run(c.Name, func(t *testing.T) {
			body, err := access("0.0.0.0", "tcp/22").body("1234567890123456")
			if err != nil {
				t.Fatal(err)
			}
			first, err := seal(body, c, SHA256, []byte("saltsalt"))
			if err != nil {
				t.Fatal(err)
			}
			doors := []*Door{wideDoor(c), wideDoor(hmac, bare, legacy, sha512)}
			path := filepath.Join(t.TempDir(), "store")
			store, err := replaycache.Open(path, defaultMaxAge, noon.Add(-time.Second))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { store.Close() }()
			verifier := NewVerifier(doors, store)
			if d := verifier.Decide(packet(first, "192.0.2.1"), noon); d.Outcome != Opened {
				t.Fatal(outcome(d))
			}
			again := func(when string, now time.Time) {
				t.Helper()
				for i, p := range respell(t, first, body, []Client{c, hmac, bare, legacy, sha512}) {
					for _, src := range []string{"192.0.2.1", "198.51.100.66"} {
						if d := verifier.Decide(packet(p, src), now); d.Outcome == Opened {
							t.Errorf("%s: spelling %d from %s: %s", when, i, src, outcome(d))
						}
					}
				}
			}
			restart := func(now time.Time) {
				store.Close()
				if store, err = replaycache.Open(path, defaultMaxAge, now); err != nil {
					t.Fatal(err)
				}
				verifier = NewVerifier(doors, store)
			}
			again("at once", noon)
			again("a minute later", noon.Add(time.Minute))
			restart(noon.Add(time.Minute))
			again("after a restart", noon.Add(time.Minute))
			restart(noon.Add(time.Hour))
			again("after it was forgotten, clock set back", noon)
			restart(time.Unix(0, 0))
			again("without a clock", noon)
			store.Close()
			os.Remove(path)
			restart(noon.Add(time.Second))
			again("after the store was deleted", noon.Add(2*time.Second))
		})
	}
}

// respell returns the packet in all spellings that fwknopd takes for other
// packets, and the message sealed anew by all who could.
func respell(t *testing.T, first, body []byte, clients []Client) [][]byte {
	all := [][]byte{first}
	for _, tail := range []string{"=", "==", "=A", "=junkjunk", "A", "\n", "\r\n", "\x00", " "} {
		all = append(all, append(bytes.Clone(first), tail...))
	}
	for _, head := range []string{cutText, "=", "\n"} {
		all = append(all, append([]byte(head), first...))
	}
	for i := range 64 { // every other first and last character
		char := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i]
		p, q := bytes.Clone(first), bytes.Clone(first)
		p[0], q[len(q)-1] = char, char
		all = append(all, p, q)
	}
	for _, c := range clients {
		for _, digest := range []Hash{MD5, SHA256, SHA3_512} {
			p, err := seal(body, c, digest, []byte("othersal"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(p, first) {
				t.Fatal("nothing was respelled")
			}
			all = append(all, p)
		}
	}
	return all
}

// TestForwarded: X-Forwarded-For counts from trusted proxies, and only where the
// message leaves the address to the sender.
func TestForwarded(t *testing.T) {
	c := testClient("a")
	for _, x := range []struct{ name, src, inside, header, want string }{
		{"trusted", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: 198.51.100.7\r\n", "door a opened [tcp/22] for 198.51.100.7, 30s"},
		{"the nearest of several", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: 203.0.113.9, ::ffff:198.51.100.7\r\n", "door a opened [tcp/22] for 198.51.100.7, 30s"},
		{"a line of its own", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: 203.0.113.9\r\nVia: a\r\nx-forwarded-for: 198.51.100.7\r\n", "door a opened [tcp/22] for 198.51.100.7, 30s"},
		{"behind the header", "192.0.2.1", "0.0.0.0", "\r\nX-Forwarded-For: 198.51.100.7\r\n", "door a opened [tcp/22] for 192.0.2.1, 30s"},
		{"address named", "192.0.2.1", "10.1.2.3", "X-Forwarded-For: 198.51.100.7\r\n", "door a opened [tcp/22] for 10.1.2.3, 30s"},
		{"not trusted", "192.0.2.2", "0.0.0.0", "X-Forwarded-For: 198.51.100.7\r\n", "door a opened [tcp/22] for 192.0.2.2, 30s"},
		{"no address", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: unknown\r\n", "door a opened [tcp/22] for 192.0.2.1, 30s"},
		{"cut short", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: 198.51.100.7", "door a opened [tcp/22] for 192.0.2.1, 30s"},
		{"loopback", "192.0.2.1", "0.0.0.0", "X-Forwarded-For: 127.0.0.1\r\n", "denied: door a the address to open is unspecified, loopback, multicast or has a zone"},
	} {
		door := wideDoor(c)
		door.HTTP, door.Listen, door.Proxies = true, ListenOn(80, 80), prefixes("192.0.2.1/32")
		path := strings.NewReplacer("+", "-", "/", "_").Replace(string(mustSeal(t, access(x.inside, "tcp/22"), c)))
		p := packet([]byte("GET /"+path+" HTTP/1.0\r\nUser-Agent: Fwknop/2.6.10\r\n"+x.header), x.src)
		p.Proto, p.DstPort, p.Flags = knock.TCP, 80, knock.ACK|knock.PSH
		payload := string(p.Payload)
		if got := outcome(NewVerifier([]*Door{door}, memory{}).Decide(p, noon)); got != x.want {
			t.Errorf("%s: %s\nwant %s", x.name, got, x.want)
		}
		if string(p.Payload) != payload {
			t.Errorf("%s: the payload was changed", x.name)
		}
	}
}
