package main

import (
	"bytes"
	"testing"

	"knockd/internal/nettest"
)

// TestTranscripts: what a user sees of options that look at files alone.
func TestTranscripts(t *testing.T) {
	nettest.Transcripts{
		Program: "knockd",
		Run: func(t *testing.T, _ string, words []string) nettest.Session {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), words[1:], &stdout, &stderr)
			return nettest.Session{Stdout: stdout.String(), Stderr: stderr.String(), Code: code}
		},
	}.Compare(t, "testdata/*.txtar")
}
