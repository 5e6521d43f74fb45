package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/control"
)

// answering is a socket that gives each call the next of some answers, and
// hangs up when there is none left. Its directory's name means something in an
// address.
func answering(t *testing.T, answers ...string) (socket string, calls <-chan string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a;b=c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		call, _ := bufio.NewReader(conn).ReadString(0)
		got <- strings.TrimSuffix(call, "\x00")
		for _, a := range answers {
			fmt.Fprint(conn, a, "\x00")
		}
	}()
	return socket, got
}

func dial(t *testing.T, socket string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCall(t *testing.T) {
	for _, c := range []struct {
		answers []string
		closed  int
		err     string
	}{
		{[]string{`{"parameters":{"closed":3}}`}, 3, ""},
		{[]string{`{"error":"knockd.control.NoSuchDoor","parameters":{"door":"ssh"}}`}, 0, `no door is called "ssh"`},
		{[]string{`{"error":"knockd.control.NoSuchDoor","parameters":{"door":7}}`}, 0,
			"knockd.control.NoSuchDoor: json: cannot unmarshal number into Go struct field NoSuchDoor.door of type string"},
		{[]string{`{"error":"knockd.control.Ending"}`}, 0, "knockd ends"},
		{[]string{`{"error":"knockd.control.Tired","parameters":{}}`}, 0, "knockd answers knockd.control.Tired"},
		{[]string{`{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"knockd.control.Close"}}`}, 0,
			"this knockd does not know knockd.control.Close"},
		{[]string{`{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"knockd.control"}}`}, 0,
			"what answers there is no knockd: it does not know knockd.control"},
		{[]string{`{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"address"}}`}, 0,
			`knockd does not take what was given as "address"`},
		{[]string{`[]`}, 0, "json: cannot unmarshal array into Go value of type varlink.reply"},
		{nil, 0, "knockd has closed the connection"},
	} {
		socket, calls := answering(t, c.answers...)
		got, err := Call[control.CloseReply](t.Context(), dial(t, socket), control.MethodClose, control.CloseArgs{Door: "ssh#2"})
		if fmt.Sprint(err) != c.err && (err != nil || c.err != "") || got.Closed != c.closed {
			t.Errorf("%s: %+v, %v; want %d, %s", c.answers, got, err, c.closed, c.err)
		}
		if call := <-calls; call != `{"method":"knockd.control.Close","parameters":{"door":"ssh#2"}}` {
			t.Error(call)
		}
	}
}

func TestEach(t *testing.T) {
	enough := errors.New("enough")
	for _, c := range []struct {
		answers []string
		stop    int // after so many
		want    string
	}{
		{[]string{`{"parameters":{"lost":1},"continues":true}`, `{"parameters":{"lost":2}}`}, 9, "1 2 <nil>"},
		{[]string{`{"parameters":{"lost":1},"continues":true}`}, 9, "1 knockd has closed the connection"},
		{[]string{`{"parameters":{"lost":1},"continues":true}`, `{"parameters":{"lost":2},"continues":true}`}, 1, "1 enough"},
		{[]string{`{"error":"knockd.control.NotAllowed","parameters":{"method":"knockd.control.Watch"}}`}, 9,
			"Watch: for root and ControlAdmins alone"},
	} {
		socket, calls := answering(t, c.answers...)
		var got []string
		err := Each(t.Context(), dial(t, socket), control.MethodWatch, control.Selection{}, func(r control.WatchReply) error {
			if got = append(got, fmt.Sprint(r.Lost)); len(got) == c.stop {
				return enough
			}
			return nil
		})
		if text := strings.Join(append(got, fmt.Sprint(err)), " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.answers, text, c.want)
		}
		if call := <-calls; call != `{"method":"knockd.control.Watch","parameters":{},"more":true}` {
			t.Error(call)
		}
	}
}

// TestDial: the error says which file and why.
func TestDial(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "connect: no such file or directory",
		dead:                       "connect: connection refused",
	} {
		if _, err := Dial(t.Context(), path); fmt.Sprint(err) != path+": "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestInterrupted: who waits for an answer can be told not to.
func TestInterrupted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c := dial(t, socket)
	cancel()
	if _, err := Call[control.StatusReply](ctx, c, control.MethodStatus, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
