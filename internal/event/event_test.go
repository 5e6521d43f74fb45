package event

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// kinds has a value of every kind, or some, with its text.
var kinds = func() []struct {
	event Event
	text  string
} {
	ssh := knock.DoorID{Name: "ssh", N: 2}
	addr, other := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")
	who, named := Knocker{Addr: addr}, Knocker{other, "host.example"}
	tcp := knock.PortRange{Proto: knock.TCP, First: 22, Last: 22}
	udp := knock.PortRange{Proto: knock.UDP, First: 60001, Last: 60010}
	ports, one := []knock.PortRange{tcp, udp}, []knock.PortRange{tcp}
	command := Opening{Door: ssh, Knocker: named, For: "2001:db8::/64"}
	native := Opening{Door: ssh, Knocker: who, For: "192.0.2.0/24", Native: true, What: "tcp/22"}
	full := errors.New("no space left on device")
	status := Result{Status: 3}
	failed := Result{Err: errors.New("time limit reached")}
	at := time.Date(2026, 11, 28, 9, 34, 21, 0, time.UTC)
	hit := knock.Hit{Src: addr, Dst: other, SrcPort: 4000, DstPort: 7000, Proto: knock.UDP, PayloadLen: 12}
	const table = "inet knockd"
	return []struct {
		event Event
		text  string
	}{
		{Stage{Door: ssh, Knocker: who, Stage: 1}, "192.0.2.7: ssh: Stage 1"},
		{Stage{Door: ssh, Knocker: named, Stage: 2}, "2001:db8::1 (host.example): ssh: Stage 2"},
		{Expired{Door: ssh, Knocker: who, Stage: 1}, "192.0.2.7: ssh: sequence timeout (stage 1)"},
		{AttemptFailed{Door: ssh, Knocker: who, Stage: 1, Of: ssh}, "192.0.2.7: ssh: attempt failed after stage 1: hit a port of ssh out of order"},
		{AttemptFailed{Door: ssh, Knocker: named, Stage: 2, Of: knock.DoorID{Name: "web", N: 1}}, "2001:db8::1 (host.example): ssh: attempt failed after stage 2: hit a port of web"},
		{AttemptFailed{Door: ssh, Knocker: who, Stage: 1, Hit: knock.PortRange{Proto: knock.TCP, First: 8080, Last: 8080}, Logged: true}, "192.0.2.7: ssh: attempt failed after stage 1: hit tcp/8080, and the door is strict"},
		{Admitted{Door: ssh, Knocker: named}, "2001:db8::1 (host.example): ssh: OPEN SESAME"},
		{Ignored{Door: ssh, Knocker: who, For: time.Minute, Failures: 5}, "192.0.2.7: ignored for 60 s after 5 failed attempts"},
		{Evicted{Limit: 9, Attempts: 12, Door: ssh}, "MaxAttempts (9) reached: attempts given up: 12, at last the oldest at ssh"},
		{SequencesExhausted{Door: ssh}, "no more sequences left in the one time sequences file for door ssh --> disabling the door"},
		{SequenceNotMarked{Door: ssh, Err: full}, "ssh: not opened: mark the sequence as used: no space left on device"},
		{SequenceNotRead{Door: ssh, Err: full}, "ssh: read the next sequence: no space left on device --> disabling the door"},
		{SequenceNotRead{Door: ssh, Err: full, Again: true}, "ssh: read the next sequence: no space left on device"},
		{LineSkipped{Door: ssh, File: "/etc/once", Line: 3}, "/etc/once:3: not a sequence, skipped"},

		{MessageAccepted{Src: addr, Door: ssh, Client: "a", Ports: ports, For: other}, "192.0.2.7: ssh: client a asks for tcp/22, udp/60001-60010 for 2001:db8::1"},
		{MessageAccepted{Src: addr, Door: ssh, Client: "a", Ports: one, NAT: netip.AddrPortFrom(addr, 80), For: addr, Timeout: time.Minute},
			"192.0.2.7: ssh: client a asks for tcp/22 to 192.0.2.7:80 for 192.0.2.7 (60 s)"},
		{MessageRefused{Src: addr, Reason: "made with no key of this host"}, "192.0.2.7: SPA packet refused: made with no key of this host"},
		{MessageRefused{Src: addr, Door: ssh, Client: "a", Verdict: "replay", Reason: "used before"}, "192.0.2.7: ssh (a): SPA packet refused: used before"},
		{MessagesDropped{Messages: 7}, "SPA packets dropped: 7 came with too many others to try all keys on"},
		{StoreRemade{File: "/var/x", Floor: at}, "/var/x: the store of used messages was taken away: messages stamped up to 2026-11-28 09:34:21 UTC may have been used, and are refused"},

		{Refused{Opening: command, Held: 20, OfDoor: 10}, "2001:db8::1 (host.example): ssh: not opened: 20 openings are held already, 10 of this door"},
		{Refused{Opening: native, Held: 20, OfDoor: 10, LeftOut: 3}, "192.0.2.7: ssh: not opened: 20 openings are held already, 10 of this door (3 such lines left out)"},
		{Waiting{Opening: command, OfDoor: 1, InAll: 2}, "2001:db8::1 (host.example): ssh: start command waits: 1 of this door run, 2 in all"},
		{Waiting{Opening: native, OfDoor: 1, InAll: 2}, "192.0.2.7: ssh: opening waits: 1 of this door run, 2 in all"},
		{CommandStarted{Opening: command, Command: "a b"}, "ssh: running command: a b"},
		{CommandOrphaned{Opening: command, PID: 77}, "2001:db8::1 (host.example): ssh: start command of an earlier run goes on (pid 77)"},
		{CommandEnded{Opening: command, Result: status}, "ssh: command returned non-zero status code (3)"},
		{CommandEnded{Opening: command, Stop: true, Again: true, Result: failed}, "ssh: command ended without a status: time limit reached"},
		{CommandEnded{Opening: command, Again: true}, "ssh: start command run at last for 2001:db8::1"},
		{CommandEnded{Opening: command, Again: true, Result: status}, "ssh: start command run at last for 2001:db8::1\nssh: command returned non-zero status code (3)"},
		{CommandEnded{Opening: command, Stop: true, Again: true}, "ssh: stop command succeeded for 2001:db8::1"},
		{Failed{Opening: command, Again: true, Err: full}, "ssh: start command for 2001:db8::1 not run, tried again: no space left on device"},
		{Failed{Opening: native, Again: true, Err: full}, "ssh: open tcp/22 for 192.0.2.0/24, tried again: no space left on device"},
		{Failed{Opening: native, Err: full}, "ssh: open tcp/22 for 192.0.2.0/24: no space left on device"},
		{Failed{Opening: native, Close: true, Err: full}, "ssh: close tcp/22 for 192.0.2.0/24: no space left on device"},
		{GivenUp{Opening: command, Result: failed, Command: "a b"}, "ssh: start command given up for 2001:db8::1 (time limit reached): a b"},
		{GivenUp{Opening: command, Close: true, Result: status, Command: "a b"}, "ssh: stop command given up for 2001:db8::1 (status 3): a b"},
		{GivenUp{Opening: native, Close: true, Result: failed}, "ssh: close given up for 192.0.2.0/24 (time limit reached)"},
		{Opened{Opening: native}, "ssh: opened tcp/22 for 192.0.2.0/24"},
		{Opened{Opening: native, Timeout: 1500 * time.Millisecond}, "ssh: opened tcp/22 for 192.0.2.0/24 (1.5 s)"},
		{Dropped{Opening: command, Why: "door removed"}, "2001:db8::1 (host.example): ssh: not opened: door removed"},
		{Closed{Opening: command}, "2001:db8::1 (host.example): ssh: command timeout"},
		{Closed{Opening: command, Why: "door removed"}, "2001:db8::1 (host.example): ssh: closed early: door removed"},
		{Closed{Opening: native}, "ssh: closed for 192.0.2.0/24"},
		{Closed{Opening: native, Why: "door removed"}, "ssh: closed for 192.0.2.0/24: door removed"},
		{AllDropped{Openings: 4}, "dropped before their start command ran: 4 openings"},
		{Adopted{Openings: 4}, "journal: openings of an earlier run taken over: 4"},
		{JournalDamaged{File: "/var/j", Records: 2}, "journal: /var/j: damaged records skipped: 2"},
		{JournalFailed{Doing: "write", File: "/var/j", Err: full}, "journal: write /var/j: no space left on device: until this is over, doors open now stay open if the daemon dies"},
		{JournalWritten{}, "journal: written again: all open doors are in it"},
		{LeftOpen{Openings: 2}, "doors that could not be closed: 2"},
		{LeftOpen{Openings: 2, Journal: true}, "doors that could not be closed: 2; the next start tries again"},

		{HistoryFailed{Err: full}, "history: no space left on device: who is let in is remembered in memory alone until this is over"},
		{HistoryWritten{File: "/var/h"}, "history: /var/h: written again: all that is remembered is in it"},
		{HistoryDamaged{File: "/var/h", Lines: 2}, "history: /var/h: damaged lines skipped: 2"},

		{InterfaceMissing{Interface: "eth0"}, "waiting for interface eth0"},
		{InterfaceMissing{}, "waiting for a default route"},
		{InterfaceFound{Interface: "eth0"}, "listening on eth0"},
		{CaptureFailed{Err: full}, "no space left on device: trying again"},
		{CaptureSlower{Interface: "eth0", Err: full}, "eth0: no space left on device: reading packets one at a time"},
		{CaptureSlower{Interface: "eth0", Err: full, Filter: true}, "eth0: no space left on device: using a coarser filter"},
		{PacketsLost{Packets: 5}, "the kernel dropped 5 packets that came faster than they could be read"},
		{Packet{At: at, Hit: knock.Hit{Src: addr, Dst: addr, SrcPort: 4000, DstPort: 7000, Proto: knock.TCP, Flags: knock.SYN | knock.ACK}},
			"2026-11-28 09:34:21: tcp: 192.0.2.7:4000 -> 192.0.2.7:7000 0 bytes [syn,ack]"},
		{Judged{Outcome: knock.WrongFlags}, "  not the flags that are asked for"},
		{Packet{At: at, Hit: hit}, "2026-11-28 09:34:21: udp: 192.0.2.7:4000 -> 2001:db8::1:7000 12 bytes"},

		{Started{Interfaces: []string{"eth0", "eth1"}}, "starting up, listening on eth0, eth1"},
		{Started{}, "starting up"},
		{Listening{Interfaces: []string{"eth0", "eth1"}}, "listening on eth0, eth1..."},
		{Reloading{File: "/etc/knockd.conf"}, "re-reading config file: /etc/knockd.conf"},
		{ReloadRefused{Err: errors.New("a:1: x\na:2: y\n")}, "a:1: x\na:2: y\nconfiguration not changed"},
		{NotExamined{What: "the rules", Err: errors.New("no right")}, "not examined: the rules: no right"},
		{Finding{Door: ssh, Finding: "door ssh: something"}, "door ssh: something"},
		{Fault{Err: full}, "no space left on device"},
		{WorkersLimited{Workers: 3, Why: "only 64 files may be open (ulimit -n)"}, "at most 3 start commands and 3 stop commands run at a time: only 64 files may be open (ulimit -n)"},
		{Stopping{}, "waiting for child processes..."},
		{Ending{}, "closing..."},
		{Stopped{}, "shutting down"},
		{LeftOut{Events: 7}, "7 lines left out (LogRate)"},
		{LeftOut{Events: 7, Day: true}, "7 lines left out (LogRate: the day's share is used up)"},
		{Lost{Lines: 7, Why: "no space left on device"}, "7 lines lost: no space left on device"},

		{OpenedByHand{UID: 1000, Door: ssh, Addr: addr, For: "192.0.2.7", Timeout: time.Hour}, "ssh: opened for 192.0.2.7 by uid 1000 (3600 s)"},
		{OpenedByHand{Door: ssh, Addr: addr, For: "192.0.2.0/24", Timeout: time.Minute, Forced: true}, "ssh: opened for 192.0.2.0/24 by uid 0 (60 s), with force"},
		{ClosedByHand{UID: 1000, Door: ssh, Addr: addr, Openings: 1}, "ssh: closed for 192.0.2.7 by uid 1000: 1 openings"},
		{ClosedByHand{Openings: 12}, "all doors: closed for everybody by uid 0: 12 openings"},
		{ReloadedByHand{UID: 1000}, "reload asked for by uid 1000"},
		{Reloaded{Doors: 3}, "configuration taken: 3 doors"},
		{SocketFailed{Err: full}, "no control socket: no space left on device"},
		{SocketMissing{Err: full}, "no control socket: no space left on device"},

		{GuardDeaf{Ports: one}, "tcp/22 is closed to all and nothing listens: knockd --cleanup --force opens it"},
		{GuardDeaf{Ports: ports}, "tcp/22, udp/60001-60010 are closed to all and nothing listens: knockd --cleanup --force opens them"},
		{GuardDeaf{Ports: one, Open: true}, "tcp/22 is not guarded until something is listened on"},
		{TrialBegun{File: "k.conf", Left: 299600 * time.Millisecond, Ports: ports}, "k.conf is on trial for 5m0s: knockctl confirm keeps it, else tcp/22, udp/60001-60010 will be open again"},
		{TrialBegun{File: "k.conf", Left: time.Minute}, "k.conf is on trial for 1m0s: knockctl confirm keeps it"},
		{TrialOver{File: "k.conf", Ports: one}, "k.conf was on trial and not confirmed: tcp/22 is not guarded (knockctl trial tries again)"},
		{TrialOver{File: "k.conf"}, "k.conf was on trial and not confirmed: it closes nothing more (knockctl trial tries again)"},
		{TrialOver{File: "k.conf", Kept: "/s/k"}, "k.conf was on trial and not confirmed: what was in use before is in use: /s/k"},
		{TrialConfirmed{File: "k.conf"}, "k.conf is confirmed: it stays"},
		{TrialFailed{Err: full}, "on trial: no space left on device"},
		{GuardClosed{Ports: ports}, "the guard closes tcp/22, udp/60001-60010"},
		{GuardClosed{Ports: one, Stays: true}, "the guard keeps closed: tcp/22 (knockd --cleanup opens them to all)"},
		{GuardFailed{Err: full}, "close the guard: no space left on device: trying again"},
		{TableFound{Table: table}, "table inet knockd, which another configuration has left, is still there; if no other knockd uses it: nft delete table inet knockd"},
		{TableFound{Table: table, Guard: true, Closes: ports}, "table inet knockd, which another configuration has left, still closes tcp/22, udp/60001-60010 to all; if no other knockd uses it: nft delete table inet knockd"},
		{TableUnowned{Table: table}, "table inet knockd cannot be owned (that needs Linux 6.9): other programs can change it; if they do, it is put back"},
		{Restored{Table: table, By: `"nft" (process 9)`, Openings: 2}, `table inet knockd was changed by "nft" (process 9): put back, with 2 openings`},
		{Restored{By: `"nft" (process 9)`, Openings: 2}, `the sets of native doors were made anew by "nft" (process 9): put back 2 openings`},
		{ClosedByOthers{By: `"nft" (process 9)`, Closed: make([]Opening, 2)}, `2 openings were closed by "nft" (process 9)`},
		{RestoreFailed{Err: full}, "no space left on device: trying again"},
		{MonitorFailed{Err: full}, "nftables monitor: no space left on device: starting again"},
		{TableDeleted{Table: table}, "deleted table inet knockd: the ports it guarded are no longer closed by it"},
		{TableDeleted{Table: table, NAT: true}, "deleted table inet knockd: its ports no longer lead elsewhere"},
		{SetCleared{Set: "inet knockd door4_ssh", Elements: 2}, "closed 2 openings in set inet knockd door4_ssh"},
		{SetCleared{Set: "inet f s", Elements: 2, Shared: true}, "took 2 elements out of set inet f s"},
		{SetLacking{Door: ssh, Version: "IPv6", Key: "nft_set_6"}, "door ssh does not open for IPv6 addresses: it has no nft_set_6"},
		{SetUnused{Door: ssh, Set: "inet f s", Table: "inet f", Rule: "ip saddr @s accept"},
			"no rule refers to set inet f s: door ssh opens nothing; add to a chain of table inet f, before what drops: ip saddr @s accept"},
	}
}()

// TestTexts: the words are knockd's, byte for byte, of every kind there is.
func TestTexts(t *testing.T) {
	known := map[string]bool{}
	for _, k := range kinds {
		known[reflect.TypeOf(k.event).Name()] = true
		if got := k.event.Text(); got != k.text {
			t.Errorf("%T: %q, want %q", k.event, got, k.text)
		}
		if a, ok := k.event.(Appender); ok && string(a.AppendText([]byte("before "))) != "before "+k.text {
			t.Errorf("%T: %q is appended, want %q", k.event, a.AppendText(nil), k.text)
		}
	}
	for _, name := range kindsInSource(t) {
		if !known[name] {
			t.Errorf("the table lacks %s", name)
		}
	}
}

// kindsInSource are the types of this package with a method Text.
func kindsInSource(t *testing.T) (names []string) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Text" {
				names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("no kinds")
	}
	return names
}

// TestReaders: each kind has readers; what strangers cause goes where it can be
// limited, and what is for those who watch goes nowhere else.
func TestReaders(t *testing.T) {
	for _, k := range kinds {
		switch to := k.event.Audience(); to {
		case 0, Log, Log | Verbose, Log | Terminal, Debug, Log | Verbose | Limited, Verbose | Limited:
		default:
			t.Errorf("%T is for %05b", k.event, to)
		}
	}
}

// TestNoSecrets: nothing that an event holds leads to a door's sequence, to keys
// or to messages. A door is its DoorID.
func TestNoSecrets(t *testing.T) {
	for _, k := range kinds {
		harmless(t, reflect.TypeOf(k.event), reflect.TypeOf(k.event).Name())
	}
}

func harmless(t *testing.T, typ reflect.Type, at string) {
	switch typ {
	case reflect.TypeFor[knock.DoorID](), reflect.TypeFor[knock.PortRange](), reflect.TypeFor[knock.Hit](), reflect.TypeFor[knock.Protocol](), reflect.TypeFor[knock.Outcome](),
		reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[error](),
		reflect.TypeFor[*uint32](): // a user id
		return
	}
	switch kind := typ.Kind(); {
	case kind == reflect.Struct && typ.PkgPath() == reflect.TypeFor[Stage]().PkgPath():
		for i := range typ.NumField() {
			harmless(t, typ.Field(i).Type, at+"."+typ.Field(i).Name)
		}
	case kind == reflect.Slice:
		harmless(t, typ.Elem(), at+"[]")
	case typ.PkgPath() != "" || kind != reflect.Bool && kind != reflect.Int && kind != reflect.Uint32 && kind != reflect.Uint64 && kind != reflect.String:
		t.Errorf("%s is a %v", at, typ)
	}
}
