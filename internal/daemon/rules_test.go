package daemon

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/action/command"
	"knockd/internal/action/nat"
	nftaction "knockd/internal/action/nft"
	"knockd/internal/action/xtrecent"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/offline"
	"knockd/internal/openings"
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

// replayActions are of --read: none is done.
var replayActions = map[string]openings.Action{"command": command.Action{}, "nft": nftaction.Action{}, "nat": nat.Action{}, "xt_recent": xtrecent.Action{}}

// replay returns the lines of --read, each with its second.
func replay(t *testing.T, conf, packets string) string {
	t.Helper()
	c, err := config.Parse("k.conf", []byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := offline.Replay{Actions: replayActions, Local: []netip.Addr{local4, local6}, Event: func(at time.Time, e event.Event) {
		fmt.Fprintf(&out, "%d %s\n", at.Unix(), e.Text())
	}}
	if err := r.Run(c, play(t, packets)); err != nil {
		t.Fatal(err)
	}
	return out.String()
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

// TestCrowdedLive: the last of them are told when nothing else happens.
func TestCrowdedLive(t *testing.T) {
	inWorld(t, "[options]\nMaxAttempts = 1\n[a]\nsequence = 1,2\nseq_timeout = 3600\n", func(w *world) {
		w.said()
		for i := range 5 {
			w.knock(fmt.Sprintf("192.0.2.%d", i+1), 1)
		}
		if got := strings.Count(w.said(), "MaxAttempts (1) reached: attempts given up: 1, at last the oldest at a\n"); got != 1 {
			t.Errorf("told %d times", got)
		}
		time.Sleep(10 * time.Second)
		w.says("MaxAttempts (1) reached: attempts given up: 3, at last the oldest at a\n")
		time.Sleep(time.Hour / 2)
		w.says("")
	})
}

func TestKeysInReplay(t *testing.T) {
	for _, c := range []struct{ name, conf, packets, want string }{{
		"the knock names the port", `
[web]
sequence = 7000, *
open_ports = 8000-8100
open = tcp/*, udp/*
cmd_timeout = 30
command = run %DOOR% %PROTO%/%PORT% %IP%
`, `
0 10.0.0.1 7000
1 10.0.0.1 8042
2 10.0.0.1 7000
3 10.0.0.1 8043
`, `
0 10.0.0.1: web: Stage 1
1 10.0.0.1: web: Stage 2
1 10.0.0.1: web: OPEN SESAME
1 web: opened tcp/8042 for 10.0.0.1 (30 s)
1 web: opened udp/8042 for 10.0.0.1 (30 s)
1 web: running command: run web tcp/8042 10.0.0.1
2 10.0.0.1: web: Stage 1
3 10.0.0.1: web: Stage 2
3 10.0.0.1: web: OPEN SESAME
3 web: opened tcp/8043 for 10.0.0.1 (30 s)
3 web: opened udp/8043 for 10.0.0.1 (30 s)
3 web: running command: run web tcp/8043 10.0.0.1
31 web: closed for 10.0.0.1
31 web: closed for 10.0.0.1
33 web: closed for 10.0.0.1
33 web: closed for 10.0.0.1
`}, {
		"the port and protocol of a sequence without * are the last ones", `
[a]
sequence = 7000, 9000:udp
command = run %PROTO%/%PORT%
`, `
0 10.0.0.1 7000
0 10.0.0.1 9000:udp
`, `
0 10.0.0.1: a: Stage 1
0 10.0.0.1: a: Stage 2
0 10.0.0.1: a: OPEN SESAME
0 a: running command: run udp/9000
`}, {
		"a prefix is opened, and one more knocker in it extends the opening", `
[nat]
sequence = 7000
open = tcp/22
open_prefix_4 = 24
open_prefix_6 = 64
cmd_timeout = 30
start_command = add %IP%
stop_command = del %IP%
`, `
0 10.0.0.1 7000
10 10.0.0.2 7000
20 fd01::5:1 7000
`, `
0 10.0.0.1: nat: Stage 1
0 10.0.0.1: nat: OPEN SESAME
0 nat: opened tcp/22 for 10.0.0.0/24 (30 s)
0 nat: running command: add 10.0.0.0/24
10 10.0.0.2: nat: Stage 1
10 10.0.0.2: nat: OPEN SESAME
10 nat: opened tcp/22 for 10.0.0.0/24 (30 s)
10 nat: running command: add 10.0.0.0/24
20 fd01::5:1: nat: Stage 1
20 fd01::5:1: nat: OPEN SESAME
20 nat: opened tcp/22 for fd01::/64 (30 s)
20 nat: running command: add fd01::/64
30 10.0.0.1: nat: command timeout
30 nat: running command: del 10.0.0.0/24
40 10.0.0.2: nat: command timeout
40 nat: running command: del 10.0.0.0/24
40 nat: closed for 10.0.0.0/24
50 fd01::5:1: nat: command timeout
50 nat: running command: del fd01::/64
50 nat: closed for fd01::/64
`}, {
		"a door closes another one, for the knocker alone", `
[open]
sequence = 7000
open = tcp/22
cmd_timeout = 1000
start_command = add %IP%
stop_command = del %IP%
[shut]
sequence = 7001
close = open
`, `
0 10.0.0.1 7000
1 10.0.0.2 7000
2 10.0.0.1 7001
3 10.0.0.1 7001
`, `
0 10.0.0.1: open: Stage 1
0 10.0.0.1: open: OPEN SESAME
0 open: opened tcp/22 for 10.0.0.1 (1000 s)
0 open: running command: add 10.0.0.1
1 10.0.0.2: open: Stage 1
1 10.0.0.2: open: OPEN SESAME
1 open: opened tcp/22 for 10.0.0.2 (1000 s)
1 open: running command: add 10.0.0.2
2 10.0.0.1: shut: Stage 1
2 10.0.0.1: shut: OPEN SESAME
2 10.0.0.1: open: closed early: knock at shut
2 open: running command: del 10.0.0.1
2 open: closed for 10.0.0.1: knock at shut
3 10.0.0.1: shut: Stage 1
3 10.0.0.1: shut: OPEN SESAME
1001 10.0.0.2: open: command timeout
1001 open: running command: del 10.0.0.2
1001 open: closed for 10.0.0.2
`}, {
		"who fails too often is ignored, but nobody with an opening", `
[options]
max_failures = 2 / 60s, 10m
never_ignore = 10.0.1.0/24
[a]
sequence = 7000, 9000
open = tcp/22
cmd_timeout = 1000
[b]
sequence = 7001
`, `
0 10.0.0.1 7000
0 10.0.0.1 7000
1 10.0.0.1 7000
1 10.0.0.1 7000
2 10.0.0.1 7001
3 10.0.0.2 7000
3 10.0.0.2 9000
4 10.0.0.2 7000
4 10.0.0.2 7000
5 10.0.0.2 7000
5 10.0.0.2 7000
6 10.0.0.2 7001
7 10.0.1.1 7000
7 10.0.1.1 7000
8 10.0.1.1 7000
8 10.0.1.1 7000
9 10.0.1.1 7001
601 10.0.0.1 7001
`, `
0 10.0.0.1: a: Stage 1
1 10.0.0.1: a: Stage 1
1 10.0.0.1: ignored for 600 s after 2 failed attempts
3 10.0.0.2: a: Stage 1
3 10.0.0.2: a: Stage 2
3 10.0.0.2: a: OPEN SESAME
3 a: opened tcp/22 for 10.0.0.2 (1000 s)
4 10.0.0.2: a: Stage 1
5 10.0.0.2: a: Stage 1
6 10.0.0.2: b: Stage 1
6 10.0.0.2: b: OPEN SESAME
7 10.0.1.1: a: Stage 1
8 10.0.1.1: a: Stage 1
9 10.0.1.1: b: Stage 1
9 10.0.1.1: b: OPEN SESAME
601 10.0.0.1: b: Stage 1
601 10.0.0.1: b: OPEN SESAME
1003 a: closed for 10.0.0.2
`}, {
		"strict, forgiving, a cooldown, lengths, and whom it lets", `
[a]
sequence = 7000, 9000
strict = yes
strict_ignore = tcp/443
repeats = forgive
cooldown = 5
packet_length = 0-10
allow = 10.0.0.0/8
deny = 10.0.0.66
`, `
0 10.0.0.1 7000
0 10.0.0.1 7000
0 10.0.0.1 443
0 10.0.0.1 9000 11
0 10.0.0.1 9000 10
1 10.0.0.1 7000
5 10.0.0.1 7000
5 10.0.0.1 444 400
5 10.0.0.1 9000
6 10.0.0.66 7000
6 11.0.0.1 7000
`, `
0 10.0.0.1: a: Stage 1
0 10.0.0.1: a: Stage 2
0 10.0.0.1: a: OPEN SESAME
5 10.0.0.1: a: Stage 1
`}} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.TrimLeft(c.want, "\n"), replay(t, c.conf, c.packets)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
