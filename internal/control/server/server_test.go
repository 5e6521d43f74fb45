package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/varlink/go/varlink/idl"

	"knockd/internal/control"
)

// echo are methods for tests.
func echo() map[string]Method {
	return map[string]Method{
		"knockd.control.Echo": {Rank: control.Reader, Do: func(_ context.Context, c *Call) error {
			s, err := c.Selection()
			if err != nil {
				return err
			}
			return c.Reply(s)
		}},
		"knockd.control.Stop": {Rank: control.Admin, Do: func(_ context.Context, c *Call) error { return c.Reply(struct{}{}) }},
		"knockd.control.Fail": {Rank: control.Reader, Do: func(context.Context, *Call) error { return errors.New("out of order") }},
		"knockd.control.Nobody": {Rank: control.Reader, Do: func(context.Context, *Call) error {
			return fmt.Errorf("wrapped: %w", &control.NoSuchDoor{Door: "ssh"})
		}},
		"knockd.control.Count": {Rank: control.Reader, Stream: true, Do: func(ctx context.Context, c *Call) error {
			for range 2 {
				if err := c.Continue(control.WatchReply{}); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}},
		"knockd.control.Flood": {Rank: control.Reader, Stream: true, Do: func(ctx context.Context, c *Call) error {
			for {
				if err := c.Continue(strings.Repeat("x", 100_000)); err != nil {
					return err
				}
			}
		}},
	}
}

// serving is a server on a socket, where everybody has a rank.
func serving(t *testing.T, rank control.Rank) (s *Server, socket string) {
	t.Helper()
	return servingWithin(t, rank, peerLimit)
}

func servingWithin(t *testing.T, rank control.Rank, limit time.Duration) (s *Server, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control")
	l, err := Listen(Socket{Path: socket, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	s = New(Options{Version: "1", Methods: echo(), RankOf: func(Peer) control.Rank { return rank }})
	s.limit = limit
	done := make(chan struct{})
	go func() {
		s.Serve(l.UnixListener)
		close(done)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		s.Close()
	})
	return s, socket
}

func dial(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

// say sends messages, and hear returns what comes back until the server hangs
// up or, if it does not, so many replies.
func say(t *testing.T, c net.Conn, messages ...string) {
	t.Helper()
	if _, err := io.WriteString(c, strings.Join(messages, "\x00")+"\x00"); err != nil {
		t.Fatal(err)
	}
}

// left waits until nobody is connected.
func left(t *testing.T, s *Server) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal(n, "connections are left")
		}
	}
}

func hear(t *testing.T, c net.Conn, replies int) (all []string) {
	t.Helper()
	r := bufio.NewReader(c)
	for range replies {
		text, err := r.ReadString(0)
		if err != nil {
			return append(all, "hung up")
		}
		all = append(all, strings.TrimSuffix(text, "\x00"))
	}
	return all
}

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		call, want string
	}{
		{`{"method":"knockd.control.Echo"}`, `{"parameters":{}}`},
		{`{"method":"knockd.control.Echo","parameters":null}`, `{"parameters":{}}`},
		{`{"method":"knockd.control.Echo","parameters":{"door":"ssh#2","address":"::ffff:192.0.2.7"}}`,
			`{"parameters":{"door":"ssh#2","address":"192.0.2.7"}}`},
		{`{"method":"knockd.control.Echo","parameters":{"door":null}}`, `{"parameters":{}}`},
		{`{"method":"knockd.control.Echo","parameters":{"Door":"ssh"}}`,
			`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"Door"}}`},
		{`{"method":"knockd.control.Echo","parameters":{"address":"192.0.2"}}`,
			`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"address"}}`},
		{`{"method":"knockd.control.Echo","parameters":{"door":7}}`,
			`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"door"}}`},
		{`{"method":"knockd.control.Stop"}`, `{"error":"knockd.control.NotAllowed","parameters":{"method":"knockd.control.Stop"}}`},
		{`{"method":"knockd.control.Fail"}`, `{"error":"knockd.control.Failed","parameters":{"reason":"out of order"}}`},
		{`{"method":"knockd.control.Nobody"}`, `{"error":"knockd.control.NoSuchDoor","parameters":{"door":"ssh"}}`},
		{`{"method":"knockd.control.Count"}`, `{"error":"org.varlink.service.ExpectedMore","parameters":null}`},
		{`{"method":"knockd.control.Dance"}`, `{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"knockd.control.Dance"}}`},
		{`{"method":"com.example.Dance"}`, `{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"com.example"}}`},
		{`{"method":"dance"}`, `{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"method"}}`},
		{`{"method":"org.varlink.service.GetInfo"}`,
			`{"parameters":{"vendor":"knockd","product":"knockd","version":"1","url":"man:knockctl(1)","interfaces":["org.varlink.service","knockd.control"]}}`},
		{`{"method":"org.varlink.service.GetInfo","parameters":{"x":1}}`,
			`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"x"}}`},
		{`{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"com.example"}}`,
			`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"interface"}}`},
		{`{"method":"knockd.control.Stop","oneway":true}`, ""}, // whatever becomes of it
		{`{"method":"knockd.control.Count","more":true,"oneway":true}`, ""},
		{`{"method":"knockd.control.Echo","upgrade":true}`, "hung up"},
		{`{"method":""}`, "hung up"},
		{`{}`, "hung up"},
		{`[]`, "hung up"},
		{``, "hung up"},
		{`GET / HTTP/1.1`, "hung up"},
		{`{"method":"knockd.control.Echo","parameters":[]}`, "hung up"},
		{strings.Repeat("[", 20_000), "hung up"},
	} {
		_, socket := serving(t, control.Reader)
		conn := dial(t, socket)
		say(t, conn, c.call, `{"method":"knockd.control.Fail"}`) // which is answered last
		last := `{"error":"knockd.control.Failed","parameters":{"reason":"out of order"}}`
		want := []string{c.want, last}
		switch c.want {
		case "":
			want = want[1:]
		case "hung up":
			want = want[:1]
		}
		if got := hear(t, conn, len(want)); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant %s", c.call, got, want)
		}
	}
}

// TestDescriptions: both interfaces are told in Varlink's own language.
func TestDescriptions(t *testing.T) {
	for name, text := range map[string]string{serviceInterface: serviceDescription, control.Interface: control.Description} {
		d, err := idl.New(text)
		if err != nil || d.Name != name {
			t.Errorf("%s: %v", name, err)
		}
		_, socket := serving(t, control.Reader)
		conn := dial(t, socket)
		say(t, conn, `{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"`+name+`"}}`)
		if got := hear(t, conn, 1); !strings.HasPrefix(got[0], `{"parameters":{"description":"`) {
			t.Error(got)
		}
	}
}

// TestStream: replies come until the peer hangs up; what it sends meanwhile is
// too much.
func TestStream(t *testing.T) {
	s, socket := serving(t, control.Reader)
	conn := dial(t, socket)
	say(t, conn, `{"method":"knockd.control.Count","more":true}`)
	more := `{"parameters":{"events":null,"lost":0},"continues":true}`
	if got := hear(t, conn, 2); got[0] != more || got[1] != more {
		t.Error(got)
	}
	conn.Close()
	left(t, s)

	conn = dial(t, socket)
	say(t, conn, `{"method":"knockd.control.Count","more":true}`)
	hear(t, conn, 2)
	_, _ = conn.Write(make([]byte, 2*maxMessage))
	left(t, s)
}

// TestPlaces: a user has eight places, others than root all but four.
func TestPlaces(t *testing.T) {
	var log strings.Builder
	s := New(Options{RankOf: func(Peer) control.Rank { return control.Reader }})
	var all []*conn
	add := func(uid uint32, n int) {
		for range n {
			c := &conn{peer: Peer{UID: uid}}
			if err := s.admit(c); err != nil {
				fmt.Fprintln(&log, uid, err)
				continue
			}
			all = append(all, c)
		}
	}
	for uid := range uint32(4) {
		add(1000+uid, 9)
	}
	add(0, 9)
	s.remove(all[0])
	add(2000, 1) // others have all of theirs
	s.remove(all[8])
	add(2000, 1)
	want := ""
	for uid := range 3 {
		want += fmt.Sprintln(1000+uid, "too many connections of a user: at most 8 at a time")
	}
	for range 5 {
		want += fmt.Sprintln(1003, "too many connections: at most 28 at a time")
	}
	for range 5 {
		want += fmt.Sprintln(0, "too many connections: at most 32 at a time")
	}
	if log.String() != want {
		t.Errorf("%s\nwant %s", log.String(), want)
	}
}

// TestRefused: who has no rank, or no place, is told so.
func TestRefused(t *testing.T) {
	_, socket := serving(t, "")
	if got := hear(t, dial(t, socket), 1); got[0] != `{"error":"knockd.control.NotAllowed","parameters":{"method":"knockd.control"}}` {
		t.Error(got)
	}
	_, socket = serving(t, control.Reader)
	for range maxOfUID {
		say(t, dial(t, socket), `{"method":"knockd.control.Echo"}`)
	}
	if got := hear(t, dial(t, socket), 1); got[0] != `{"error":"knockd.control.TooMany","parameters":{"what":"connections of a user","limit":8}}` {
		t.Error(got)
	}
}

// TestDrop: those who match are hung up on.
func TestDrop(t *testing.T) {
	s, socket := serving(t, control.Reader)
	conn := dial(t, socket)
	say(t, conn, `{"method":"knockd.control.Count","more":true}`)
	hear(t, conn, 2)
	s.Drop(func(Peer) bool { return false })
	s.Drop(func(p Peer) bool { return p.UID == uint32(os.Getuid()) && p.PID == int32(os.Getpid()) })
	if got := hear(t, conn, 1); got[0] != "hung up" {
		t.Error(got)
	}
}

// TestListen: a socket has its mode from the beginning and goes with its
// listener; one that is dead is replaced, one that lives is left, as is anything
// else.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control")
	l, err := Listen(Socket{Path: path, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Error(info.Mode(), err)
	}
	_, err = Listen(Socket{Path: path, GID: -1})
	living := (*LivingError)(nil)
	if !errors.As(err, &living) || living.PID != int32(os.Getpid()) ||
		err.Error() != fmt.Sprintf("%s: another program listens there (pid %d)", path, os.Getpid()) {
		t.Error(err)
	}
	l.UnixListener.Close() // as a daemon that is killed leaves it
	if l, err = Listen(Socket{Path: path, GID: os.Getgid()}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Error(info.Mode(), err)
	}
	l.Close()
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Error("left behind:", entries)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Socket{Path: path, GID: -1}); fmt.Sprint(err) != path+": there is something else that is no socket" {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Error("left behind:", entries)
	}
}

// TestTaken: a listener that ends does not take away the socket of another one.
func TestTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	old, err := Listen(Socket{Path: path, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	old.UnixListener.Close()
	l, err := Listen(Socket{Path: path, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// TestDirectories: where others could replace the socket it is not made.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	mkdir := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	all, sticky := mkdir("all", 0o777), mkdir("sticky", 0o777|os.ModeSticky)
	inAll, inSticky := mkdir("all/in", 0o755), mkdir("sticky/in", 0o755)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inAll, link); err != nil {
		t.Fatal(err)
	}
	rule := ": others can write it (mode 0777): must be writable by root alone"
	for _, c := range []struct {
		dir     string
		makeDir bool
		want    string
	}{
		{dir: dir}, {dir: inSticky}, {dir: filepath.Join(dir, "new"), makeDir: true}, {dir: dir, makeDir: true},
		{dir: all, want: all + rule}, {dir: sticky, want: sticky + rule}, {dir: inAll, want: all + rule}, {dir: link, want: all + rule},
		{dir: filepath.Join(dir, "none"), want: "lstat " + filepath.Join(dir, "none") + ": no such file or directory"},
		{dir: filepath.Join(dir, strings.Repeat("x", 100)), makeDir: true,
			want: filepath.Join(dir, strings.Repeat("x", 100), "s") + ": bind: invalid argument"},
	} {
		l, err := Listen(Socket{Path: filepath.Join(c.dir, "s"), GID: -1, MakeDir: c.makeDir})
		if err == nil {
			l.Close()
		}
		if text := fmt.Sprint(err); text != c.want && (err != nil || c.want != "") {
			t.Errorf("%s: %s\nwant %s", c.dir, text, c.want)
		}
	}
}

func TestRanks(t *testing.T) {
	a, doubts := NewAccess(100, []string{"root", "4000000000", "nobody", "no-such-user"})
	want := []string{
		"ControlAdmins: nobody is not in the ControlGroup, and cannot connect",
		`ControlAdmins: there is no user "no-such-user"`,
	}
	if strings.Join(doubts, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", doubts)
	}
	for _, c := range []struct {
		peer Peer
		want control.Rank
	}{
		{Peer{UID: 0}, control.Admin},
		{Peer{UID: 1000, GIDs: []uint32{5, 100}}, control.Reader},
		{Peer{UID: 1000, GIDs: []uint32{5, 0}}, ""},
		{Peer{UID: 4000000000, GIDs: []uint32{100}}, control.Admin},
		{Peer{UID: 4000000000}, ""},
	} {
		if got := a.RankOf(c.peer); got != c.want {
			t.Errorf("%v: %q, want %q", c.peer, got, c.want)
		}
	}
	closed, _ := NewAccess(-1, nil)
	if got := closed.RankOf(Peer{UID: 1000, GIDs: []uint32{0}}); got != "" {
		t.Errorf("without a group: %q", got)
	}
}

func TestGroup(t *testing.T) {
	const none = "ControlGroup: group no-such-group: there is no such group: the control socket is for root alone"
	for _, c := range []struct {
		name  string
		named bool
		want  string
	}{
		{"daemon", true, `1 "" <nil>`}, {"1", true, `1 "" <nil>`}, {"no-such-group", false, `-1 "" <nil>`},
		{"no-such-group", true, `-1 "` + none + `" <nil>`},
		{"sys", true, `-1 "" ControlGroup: group sys is knockd's own, and that of all that it runs: must be another one`},
	} {
		gid, doubt, err := Group(c.name, c.named, 3)
		if got := fmt.Sprintf("%d %q %v", gid, doubt, err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestSlowPeers: whoever does not send what he began, or does not take what he
// asked for, is hung up on.
func TestSlowPeers(t *testing.T) {
	s, socket := servingWithin(t, control.Reader, 50*time.Millisecond)
	silent, half, deaf := dial(t, socket), dial(t, socket), dial(t, socket)
	_, _ = half.Write([]byte(`{"method":`))
	say(t, deaf, `{"method":"knockd.control.Flood","more":true}`)
	for _, c := range []net.Conn{silent, half} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	}
	left(t, s) // the deaf one, too
}
