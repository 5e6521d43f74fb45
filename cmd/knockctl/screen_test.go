package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRedraw: a terminal shows each look in the place of the one before, as far
// as it fits, and gets its cursor back; a file gets one after the other.
func TestRedraw(t *testing.T) {
	for _, c := range []struct {
		screen screen
		want   string
	}{
		{screen{}, "look 1\nsecond\n\nlook 2\nsecond\n"},
		{screen{6, 4}, `\e[?25l\e[H\e[J\e[Hlook 1\e[K\nsecond\e[J\e[Hlook 2\e[K\nsecond\e[J\e[?25h`},
		{screen{6, 2}, `\e[?25l\e[H\e[J\e[H...\e[K\n\e[J\e[H...\e[K\n\e[J\e[?25h`},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			w := &world{stdout: &out, screen: func() screen { return c.screen }}
			ctx, cancel := context.WithCancel(t.Context())
			looks := 0
			go func() {
				time.Sleep(redraw + redraw/2)
				cancel()
			}()
			err := w.redraw(ctx, func() (string, error) {
				looks++
				return fmt.Sprintf("look %d\nsecond\n", looks), nil
			})
			got := out.String()
			if c.screen.columns > 0 {
				got = strings.NewReplacer("\x1b", `\e`, "\r", `\r`, "\n", `\n`).Replace(got)
			}
			if err != nil || got != c.want {
				t.Errorf("%v: %v\n%q\nwant\n%q", c.screen, err, got, c.want)
			}
		})
	}
	if got := cut("\x1b[1mabcdef\x1b[0m!", 4); got != "\x1b[1mabcd\x1b[0m" {
		t.Errorf("%q", got)
	}
}

func TestSince(t *testing.T) {
	for text, want := range map[string]string{
		"2h": "2026-11-28T10:00:00Z", "90m": "2026-11-28T10:30:00Z", "7d": "2026-11-21T12:00:00Z", "1w": "2026-11-21T12:00:00Z",
		"2026-11-01": "2026-11-01T00:00:00Z", "2026-11-28 09:30": "2026-11-28T09:30:00Z", "2026-11-28T09:30:00+02:00": "2026-11-28T09:30:00+02:00",
		"-2h": "", "d": "", "99999d": "", "x": "", "": "",
	} {
		at, err := parseSince(text, noon)
		if got := at.Format(time.RFC3339); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}
