package main

import (
	"fmt"
	"regexp"
	"testing"

	"knockd/internal/nettest"
)

var keyPattern = regexp.MustCompile(`(_BASE64:? )([A-Za-z0-9+/]+)=*`)

// TestTranscripts: what a user sees of commands that send no packet. Keys are
// different each time.
func TestTranscripts(t *testing.T) {
	nettest.Transcripts{
		Program: "knock",
		Run: func(_ *testing.T, dir string, words []string) nettest.Session {
			got := tryHome(dir, words[1:]...)
			return nettest.Session{Stdout: got.stdout, Stderr: got.stderr, Code: got.code}
		},
		Mask: func(text string) string {
			return keyPattern.ReplaceAllStringFunc(text, func(key string) string {
				part := keyPattern.FindStringSubmatch(key)
				return fmt.Sprintf("%s<%d octets>", part[1], len(part[2])*3/4)
			})
		},
	}.Compare(t, "testdata/*.txtar")
}
