package main

import (
	"bytes"
	"regexp"
	"testing"

	"knockd/internal/nettest"
)

// ofMemory is what depends on how much of it there is.
var ofMemory = regexp.MustCompile(`MaxAttempts = \d+`)

// TestTranscripts: what a user sees of options that look at files alone.
func TestTranscripts(t *testing.T) {
	nettest.Transcripts{
		Program: "knockd",
		Run: func(t *testing.T, _ string, words []string) nettest.Session {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), words[1:], &stdout, &stderr)
			return nettest.Session{Stdout: stdout.String(), Stderr: stderr.String(), Code: code}
		},
		Mask: func(text string) string { return ofMemory.ReplaceAllString(text, "MaxAttempts = N") },
	}.Compare(t, "testdata/*.txtar")
}
