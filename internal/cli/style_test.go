package cli

import (
	"bytes"
	"testing"
	"time"
)

func TestParseStyle(t *testing.T) {
	for _, c := range []struct {
		when     string
		terminal bool
		noColor  string
		want     Style
		err      string
	}{
		{"auto", true, "", true, ""},
		{"auto", true, "1", false, ""},
		{"auto", false, "", false, ""},
		{"always", false, "1", true, ""},
		{"never", true, "", false, ""},
		{"blue", true, "", false, "--color blue: must be auto, always or never"},
	} {
		got, err := ParseStyle(c.when, c.terminal, c.noColor)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("%+v: %v, %s", c, got, text)
		}
	}
	if got := Style(true).Bold("a") + Style(false).Bold("b") + Style(true).Bad(""); got != "\x1b[1ma\x1b[0mb" {
		t.Errorf("%q", got)
	}
	if _, _, ok := Screen(&bytes.Buffer{}); ok {
		t.Error("a buffer is a terminal")
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "host.example": "host.example", "Zürich 東京": "Zürich 東京",
		"a\x1b[31mb":      `a\x1b[31mb`,
		"a\tb\nc\x00\x7f": `a\tb\nc\x00\x7f`,
		"\u202ebad\u2028": `\u202ebad\u2028`,
		"\xff\xfe":        `\xff\xfe`,
		"\ufffd":          "\ufffd",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", 0: "0 seconds", 400 * time.Millisecond: "0 seconds", time.Second: "1 second",
		63 * time.Second: "1 minute, 3 seconds", time.Hour: "1 hour", time.Hour + 3*time.Second: "1 hour",
		time.Hour + 119*time.Second: "1 hour, 1 minute", 25 * time.Hour: "1 day, 1 hour", 800 * 24 * time.Hour: "2 years, 70 days",
		59*time.Second + 600*time.Millisecond: "1 minute",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
