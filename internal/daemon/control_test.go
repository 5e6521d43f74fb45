package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/server"
)

// Who asks in tests: root, and a member of the group.
var (
	root   = server.Peer{UID: 0}
	reader = server.Peer{UID: 1000, GIDs: []uint32{100}}
)

// atDesk runs a test beside a daemon that answers questions.
func atDesk(t *testing.T, conf string, test func(w *world)) {
	t.Helper()
	inWorld(t, conf, func(w *world) {
		w.d.post(func() {
			w.d.Control = &Control{Version: "1", ConfigFile: "/etc/knockd.conf"}
			w.d.desk = newDesk(w.d, 100)
		})
		synctest.Wait()
		test(w)
	})
}

// ask calls a method and returns what is replied: the parameters, or an error's
// name and parameters.
func (w *world) ask(who server.Peer, method, args string) string {
	w.t.Helper()
	replies := w.watch(w.t.Context(), who, method, args, false)
	synctest.Wait()
	return inexact.ReplaceAllString(strings.Join(replies(), "\n"), `"since":?,"left":?,`)
}

// inexact is what the bubble's clock and that of openings make of a time.
var inexact = regexp.MustCompile(`"since":[^,]+,"left":[^,]+,`)

// watch calls a method and returns what tells the replies so far.
func (w *world) watch(ctx context.Context, who server.Peer, method, args string, more bool) (replies func() []string) {
	var (
		mu  sync.Mutex
		all []string
	)
	if args == "" {
		args = "{}"
	}
	text := fmt.Sprintf(`{"method":"knockd.control.%s","parameters":%s,"more":%v}`, method, args, more)
	send := func(text []byte) error {
		mu.Lock()
		defer mu.Unlock()
		var r struct {
			Error      string
			Parameters json.RawMessage
		}
		if err := json.Unmarshal(text[:len(text)-1], &r); err != nil {
			w.t.Error(err)
		}
		all = append(all, strings.TrimSpace(r.Error+" "+string(r.Parameters)))
		return nil
	}
	go func() {
		_ = w.d.desk.server.Answer([]byte(text), who, send, func(do func(context.Context) error) error { return do(ctx) })
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), all...)
	}
}

const deskDoors = `[options]
ControlAdmins = root
[ssh]
sequence = 7000,8000,9000
seq_timeout = 10
start_command = open %IP% %PORT%
stop_command = close %IP%
cmd_timeout = 30
allow = 192.0.2.0/24
[web]
sequence = 7001,8001
start_command = web %IP%
[ssh]
sequence = 6000,6001
start_command = second %IP%
stop_command = stop second
[end]
sequence = 9000,8000
close = web
`

// TestMethods: the socket answers every method of the interface, and no others.
func TestMethods(t *testing.T) {
	var have, described []string
	for name := range (&desk{}).methods() {
		have = append(have, strings.TrimPrefix(name, control.Interface+"."))
	}
	for _, m := range regexp.MustCompile(`(?m)^method (\w+)\(`).FindAllStringSubmatch(control.Description, -1) {
		described = append(described, m[1])
	}
	slices.Sort(have)
	slices.Sort(described)
	if !slices.Equal(have, described) {
		t.Errorf("answered %q\ndescribed %q", have, described)
	}
}

// TestByHand: a door is opened and closed by hand as by a knock, and the log says
// whose hand it was.
func TestByHand(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		w.said()
		for _, c := range []struct{ method, args, want string }{
			{"Open", `{"door":"ssh","address":"192.0.2.7"}`,
				`{"openings":[{"door":"ssh","address":"192.0.2.7","for":"192.0.2.7","state":"open","since":?,"left":?,"by":"operator","uid":0}]}`},
			{"Open", `{"door":"ssh#2","address":"192.0.2.8","seconds":60}`,
				`{"openings":[{"door":"ssh#2","address":"192.0.2.8","for":"192.0.2.8","state":"open","since":?,"left":?,"by":"operator","uid":0}]}`},
			{"Open", `{"door":"web","address":"2001:db8::7"}`,
				`{"openings":[{"door":"web","address":"2001:db8::7","for":"2001:db8::7","state":"open","by":"operator","uid":0}]}`},
			{"Open", `{"door":"ssh","address":"198.51.100.7"}`, `knockd.control.NotForced {"reason":"ssh: 198.51.100.7 is not in its allow: it takes force"}`},
			{"Open", `{"door":"ssh","address":"192.0.2.0/25"}`, `knockd.control.NotForced {"reason":"ssh: 192.0.2.0/25 is a network: it takes force"}`},
			{"Open", `{"door":"ssh","address":"192.0.2.7","seconds":86401}`, `knockd.control.NotForced {"reason":"ssh: more than a day: it takes force"}`},
			{"Open", `{"door":"ssh","address":"198.51.100.0/24","seconds":90000,"force":true}`,
				`{"openings":[{"door":"ssh","address":"198.51.100.0","for":"198.51.100.0/24","state":"open","since":?,"left":?,"by":"operator","uid":0}]}`},
			{"Open", `{"door":"nix","address":"192.0.2.7"}`, `knockd.control.NoSuchDoor {"door":"nix"}`},
			{"Open", `{"door":"end","address":"192.0.2.7"}`, `knockd.control.CannotOpen {"door":"end","reason":"it opens nothing for 192.0.2.7"}`},
			{"Open", `{"door":"ssh","address":"192.0.2.7","ports":["tcp/22"]}`, `knockd.control.CannotOpen {"door":"ssh","reason":"a knock at it names no port"}`},
			{"Open", `{"door":"ssh","address":"192.0.2.7","seconds":0.5}`, `org.varlink.service.InvalidParameter {"parameter":"seconds"}`},
			{"Open", `{"door":"ssh","address":"192.0.2.1/24"}`, `org.varlink.service.InvalidParameter {"parameter":"address"}`},
			{"Open", `{"address":"192.0.2.1"}`, `org.varlink.service.InvalidParameter {"parameter":"door"}`},
			{"Close", `{"door":"ssh","address":"192.0.2.9"}`, `{"closed":0,"left":0}`},
			{"Close", `{"door":"ssh","address":"198.51.100.99"}`, `{"closed":1,"left":0}`},
			{"Close", `{}`, `org.varlink.service.InvalidParameter {"parameter":"door"}`},
			{"Close", `{"all":true,"door":"ssh"}`, `org.varlink.service.InvalidParameter {"parameter":"door"}`},
			{"Close", `{"all":true}`, `{"closed":2,"left":0}`},
		} {
			if got := w.ask(root, c.method, c.args); got != c.want {
				t.Errorf("%s %s:\n%s\nwant %s", c.method, c.args, got, c.want)
			}
			if got := w.ask(reader, c.method, c.args); got != `knockd.control.NotAllowed {"method":"knockd.control.`+c.method+`"}` {
				t.Errorf("%s by a reader: %s", c.method, got)
			}
		}
		w.says(`
ssh: opened for 192.0.2.7 by uid 0 (30 s)
ssh: running command: open 192.0.2.7 9000
ssh: opened for 192.0.2.8 by uid 0 (60 s)
ssh: running command: second 192.0.2.8
web: opened for 2001:db8::7 by uid 0 (10 s)
web: running command: web 2001:db8::7
ssh: opened for 198.51.100.0/24 by uid 0 (90000 s), with force
ssh: running command: open 198.51.100.0/24 9000
ssh: closed for 192.0.2.9 by uid 0: 0 openings
198.51.100.0: ssh: closed early: by uid 0
ssh: running command: close 198.51.100.0/24
ssh: closed for 198.51.100.99 by uid 0: 1 openings
192.0.2.7: ssh: closed early: by uid 0
ssh: running command: close 192.0.2.7
192.0.2.8: ssh: closed early: by uid 0
ssh: running command: stop second
all doors: closed for everybody by uid 0: 2 openings
`)
	})
}

// TestHandCloses: opening a door by hand closes another one, as a knock at it
// does.
func TestHandCloses(t *testing.T) {
	conf := `
[ssh]
sequence = 7000,8000,9000
start_command = open %IP%
stop_command = close %IP%
cmd_timeout = 30
[end]
sequence = 9000,8000
start_command = bye
close = ssh
`
	atDesk(t, conf, func(w *world) {
		w.ask(root, "Open", `{"door":"ssh","address":"192.0.2.7"}`)
		w.ask(root, "Open", `{"door":"ssh","address":"192.0.2.8"}`)
		w.said()
		w.ask(root, "Open", `{"door":"end","address":"192.0.2.7"}`)
		w.says(`
end: opened for 192.0.2.7 by uid 0 (10 s)
end: running command: bye
192.0.2.7: ssh: closed early: opened end
ssh: running command: close 192.0.2.7
`)
	})
}

// TestNothingForReaders: whoever may only read, knocks at all ports and reads all
// that he may sees nothing move before a door opens.
func TestNothingForReaders(t *testing.T) {
	conf := deskDoors + "[options]\nmax_failures = 1 / 60s, 10m\nLogFailures = yes\nMaxAttempts = 2\n"
	atDesk(t, conf, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		events := w.watch(ctx, reader, "Watch", "", true)
		all := w.watch(ctx, root, "Watch", "", true)
		look := func() string {
			time.Sleep(sightPause)
			return w.ask(reader, "Status", "") + w.ask(reader, "Doors", "") + w.ask(reader, "Openings", "")
		}
		before, seen := look(), w.ask(root, "Status", "")
		for _, port := range []uint16{7000, 7001, 8000, 6000, 7777, 9000, 7000, 8000, 8000} {
			w.knock("192.0.2.7", port)
			w.knock("192.0.2.8", port)
			w.knock("192.0.2.9", port)
			if after := look(); after != before {
				t.Errorf("port %d:\n%s\nbefore\n%s", port, after, before)
			}
		}
		w.packet.drops.Store(7)
		time.Sleep(time.Minute)
		if after := look(); after != before {
			t.Errorf("in the end:\n%s\nbefore\n%s", after, before)
		}
		if got := events(); len(got) != 1 {
			t.Errorf("a reader heard %s", got)
		}
		if got := w.ask(root, "Status", ""); got == seen || len(all()) < 10 {
			t.Errorf("root saw and heard nothing: %s", all())
		}
		w.knock("198.51.100.7", 7001, 8001)
		if after := look(); after == before {
			t.Error("no reader sees that a door opened")
		}
		if got := events(); len(got) != 2 || !strings.Contains(got[1], "OPEN SESAME") || strings.Contains(got[1], "command") {
			t.Errorf("a reader heard %s", got)
		}
		for _, secret := range []string{"7000", "8000", "9000", "7001", "8001", "6000", "6001"} {
			for _, text := range append(append(all(), events()...), look(), w.ask(root, "Status", "")+w.ask(root, "Doors", "")) {
				if strings.Contains(text, secret) {
					t.Errorf("a port of a sequence: %s", text)
				}
			}
		}
	})
}

// TestReloadAsked: whoever asks for a reload hears what became of it: his own, not
// one that had begun before.
func TestReloadAsked(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		ask := func(want string) {
			t.Helper()
			if got := w.ask(root, "Reload", ""); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
		ask(`{"doors":4,"warnings":["k.conf:13: [ssh] door 2 of this name"]}`)
		w.write("k.conf", "[ssh]\nsequence = 70000\n")
		ask(`knockd.control.ReloadRefused {"faults":["k.conf:2: [ssh] sequence: step 1: port 70000: must be between 1 and 65535"],"restart":[]}`)
		w.write("k.conf", "[options]\nStateDir = /x\nMaxAttempts = 7\n[ssh]\nsequence = 7000\n")
		ask(`knockd.control.ReloadRefused {"faults":[],"restart":["StateDir","MaxAttempts"]}`)
		if got := w.ask(reader, "Status", ""); !strings.Contains(got, `"reload":{"at":"2000-01-01T00:00:00Z","taken":false}`) {
			t.Error(got)
		}
		if got := w.ask(root, "Status", ""); !strings.Contains(got, `"taken":false,"faults":["k.conf: only a restart can change: StateDir, MaxAttempts"]`) {
			t.Error(got)
		}
		w.slow = make(chan struct{})
		w.write("k.conf", "[one]\nsequence = 7000\n")
		w.hangup <- nil
		synctest.Wait()
		reply := w.watch(w.t.Context(), root, "Reload", "", false)
		synctest.Wait()
		w.slow <- struct{}{} // what was begun before
		synctest.Wait()
		if got := reply(); got != nil {
			t.Error("too early:", got)
		}
		w.write("k.conf", "[one]\nsequence = 7000\n[two]\nsequence = 8000\n")
		w.slow <- struct{}{}
		synctest.Wait()
		if got := fmt.Sprint(reply()); got != `[{"doors":2,"warnings":[]}]` {
			t.Error(got)
		}
		w.slow = nil
	})
}

// TestManyAsk: however often it is asked, the loop shows what it has some times a
// second.
func TestManyAsk(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		calls := 0
		w.d.post(func() { w.d.Now = func() time.Time { calls++; return time.Now() } })
		for range 100 {
			w.ask(reader, "Doors", "")
		}
		if calls != 1 {
			t.Errorf("the loop was asked %d times", calls)
		}
	})
}

// TestLostRank: an admin who is none any more sees nothing more of what admins
// see.
func TestLostRank(t *testing.T) {
	conf := strings.Replace(deskDoors, "root", "1000", 1)
	atDesk(t, conf, func(w *world) {
		if got := w.ask(reader, "Close", `{"all":true}`); got != `{"closed":0,"left":0}` {
			t.Error(got)
		}
		w.reload(deskDoors)
		if got := w.ask(reader, "Close", `{"all":true}`); !strings.HasPrefix(got, control.Interface+".NotAllowed") {
			t.Error(got)
		}
	})
}

// TestAttemptsShown: admins see who is on the way, the oldest first, and how many
// attempts failed at each door; nobody else does.
func TestAttemptsShown(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		w.knock("192.0.2.9", 7000, 8000)
		time.Sleep(time.Second)
		w.knock("192.0.2.7", 7000)
		time.Sleep(time.Second)
		w.knock("192.0.2.8", 7000, 9000) // fails
		const one = `{"door":"ssh","address":"192.0.2.9","stage":2,"stages":3,"since":"2000-01-01T00:00:00Z","expires":"2000-01-01T00:00:10Z"}`
		const two = `{"door":"ssh","address":"192.0.2.7","stage":1,"stages":3,"since":"2000-01-01T00:00:01Z","expires":"2000-01-01T00:00:11Z"}`
		for _, c := range []struct{ args, want string }{
			{`{}`, `{"attempts":[` + one + `,` + two + `],"left_out":0}`},
			{`{"door":"web"}`, `{"attempts":[],"left_out":0}`},
			{`{"door":"ssh","address":"192.0.2.7"}`, `{"attempts":[` + two + `],"left_out":0}`},
			{`{"door":"nix"}`, `knockd.control.NoSuchDoor {"door":"nix"}`},
		} {
			if got := w.ask(root, "Attempts", c.args); got != c.want {
				t.Errorf("%s: %s\nwant %s", c.args, got, c.want)
			}
		}
		if got, want := w.ask(reader, "Attempts", ""), `knockd.control.NotAllowed {"method":"knockd.control.Attempts"}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := w.ask(root, "Doors", ""); strings.Count(got, `"failed":1`) != 1 {
			t.Error(got)
		}
		if got := w.ask(reader, "Doors", ""); strings.Contains(got, "failed") {
			t.Error(got)
		}
	})
}
