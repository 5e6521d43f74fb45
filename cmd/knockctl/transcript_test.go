package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/nettest"
)

// noon is the time of all transcripts.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestTranscripts: what people see of a running knockd, which answers each method
// with what the file of its name has: a list of replies. COLUMNS makes it that of
// a terminal; \e is ESC.
func TestTranscripts(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	nettest.Transcripts{Program: "knockctl", Run: func(t *testing.T, dir string, words []string) nettest.Session {
		if _, err := os.Stat(filepath.Join(dir, "control")); err != nil {
			answering(t, dir)
		}
		return transcribed(t, words)
	}}.Compare(t, "testdata/*.txtar")
}

// answering is a knockd on the socket "control" of a directory.
func answering(t *testing.T, dir string) {
	t.Helper()
	methods := map[string]server.Method{}
	for _, name := range []string{"Status", "Doors", "Openings", "Attempts", "History", "Watch"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		var replies []json.RawMessage
		if err := json.Unmarshal(text, &replies); err != nil || len(replies) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, r := range replies {
			checkReply(t, name, r)
		}
		stream := name == "Watch"
		methods[control.Interface+"."+name] = server.Method{Rank: control.Reader, Stream: stream, Do: func(_ context.Context, c *server.Call) error {
			for _, r := range replies[:len(replies)-1] {
				if !c.More {
					break
				}
				if err := c.Continue(r); err != nil {
					return err
				}
			}
			if !c.More {
				return c.Reply(replies[0])
			}
			return c.Reply(replies[len(replies)-1])
		}}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Options{Methods: methods, RankOf: func(server.Peer) control.Rank { return control.Admin }})
	go s.Serve(l)
	t.Cleanup(func() {
		l.Close()
		s.Close()
	})
}

// checkReply: a reply of a transcript is one of the interface.
func checkReply(t *testing.T, method string, text []byte) {
	t.Helper()
	reply := map[string]any{
		"Status": &control.StatusReply{}, "Doors": &control.DoorsReply{}, "Openings": &control.OpeningsReply{},
		"Attempts": &control.AttemptsReply{}, "History": &control.HistoryReply{}, "Watch": &control.WatchReply{},
	}[method]
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(reply); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// transcribed is what a user sees of a command.
func transcribed(t *testing.T, words []string) nettest.Session {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := map[string]string{}
	for ; strings.Contains(words[0], "="); words = words[1:] {
		name, value, _ := strings.Cut(words[0], "=")
		env[name] = value
	}
	w := &world{stdout: &stdout, stderr: &stderr, run: noProgram, getenv: func(name string) string { return env[name] }}
	w.now = func() time.Time { return noon }
	w.screen = func() (s screen) {
		fmt.Sscan(env["COLUMNS"], &s.columns)
		s.rows = 24
		return s
	}
	code := run(t.Context(), words[1:], w)
	text := strings.NewReplacer("\x1b", `\e`, "\r", `\r`).Replace(stdout.String())
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "(no newline)\n"
	}
	return nettest.Session{Stdout: text, Stderr: stderr.String(), Code: code}
}
