package main

import (
	"bytes"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// TestCheckTranscripts: what a user sees of a check, on a host that has the
// interface eth0 and no services.
func TestCheckTranscripts(t *testing.T) {
	_, host := nettest.Pair(t)
	nettest.Transcripts{
		Program: "knockctl",
		Run: func(t *testing.T, _ string, words []string) nettest.Session {
			var stdout, stderr bytes.Buffer
			code := 0
			err := host.Do(func() error {
				code = run(t.Context(), words[1:], &world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, run: noProgram})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return nettest.Session{Stdout: stdout.String(), Stderr: stderr.String(), Code: code}
		},
	}.Compare(t, "testdata/check/*.txtar")
}
