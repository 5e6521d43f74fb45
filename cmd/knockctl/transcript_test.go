package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
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
// with what the file of its name has: a list of replies, or one error. COLUMNS
// makes it that of a terminal, RUNNING has the processes that are a knockd; \e is
// ESC.
func TestTranscripts(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	nettest.Transcripts{Program: "knockctl", Run: func(t *testing.T, dir string, words []string) nettest.Session {
		if _, err := os.Stat(filepath.Join(dir, "control")); err != nil {
			answering(t, dir)
		}
		return transcribed(t, dir, words)
	}}.Compare(t, "testdata/*.txtar")
}

// answering is a knockd on the socket "control" of a directory.
func answering(t *testing.T, dir string) {
	t.Helper()
	methods := map[string]server.Method{}
	for name := range replies {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		var replies []json.RawMessage
		if err := json.Unmarshal(text, &replies); err != nil || len(replies) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		failed := asError(t, replies[0])
		for _, r := range replies {
			if failed == nil {
				checkReply(t, name, r)
			}
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
			switch {
			case failed != nil:
				return failed
			case !c.More:
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

// replies are what each method replies.
var replies = map[string]any{
	"Status": &control.StatusReply{}, "Doors": &control.DoorsReply{}, "Openings": &control.OpeningsReply{},
	"Attempts": &control.AttemptsReply{}, "History": &control.HistoryReply{}, "Watch": &control.WatchReply{},
	"Open": &control.OpenReply{}, "Close": &control.CloseReply{}, "Reload": &control.ReloadReply{},
}

// checkReply: a reply of a transcript is one of the interface.
func checkReply(t *testing.T, method string, text []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(replies[method]); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// asError is what a reply is that names an error; nil if it names none.
func asError(t *testing.T, text []byte) error {
	t.Helper()
	var r struct {
		Error      string          `json:"error"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, e := range control.Errors() {
		if e.Name() != control.Interface+"."+r.Error {
			continue
		}
		if err := json.Unmarshal(r.Parameters, e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	return nil
}

// transcribed is what a user sees of a command.
func transcribed(t *testing.T, dir string, words []string) nettest.Session {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := map[string]string{}
	for ; strings.Contains(words[0], "="); words = words[1:] {
		name, value, _ := strings.Cut(words[0], "=")
		env[name] = value
	}
	w := &world{stdout: &stdout, stderr: &stderr, run: noProgram, getenv: func(name string) string { return env[name] }}
	w.now = func() time.Time { return noon }
	w.running = func() (pids []int) {
		for word := range strings.SplitSeq(env["RUNNING"], ",") {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	w.config = filepath.Join(dir, "knockd.conf")
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
