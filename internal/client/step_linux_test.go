package client

import (
	"strings"
	"testing"

	"knockd/internal/knock"
)

// FuzzReadSequence compares with the daemon's reader of the same lines.
func FuzzReadSequence(f *testing.F) {
	for _, text := range []string{"7000,8000:udp,9000:tcp", " 1 , 2 ", "1:", ":", "1 :udp", "+1", "-1", "1,,2", "0x10", "1_0", "1\u00a0", "１", "*", "65536", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimSpace(text) // as the lines of a file are
		steps, err := ReadSequence(text)
		theirs, theirErr := knock.ParseSequence(text, false)
		if (err == nil) != (theirErr == nil) || join(steps) != join(theirs) {
			t.Errorf("%q: %s, %v; the daemon: %s, %v", text, join(steps), err, join(theirs), theirErr)
		}
		if err != nil && steps != nil {
			t.Error("steps together with an error")
		}
	})
}
