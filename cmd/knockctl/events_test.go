package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/event"
)

var updateEvents = flag.Bool("update-events", false, "rewrite the list in knockd-events(7)")

// TestEventsManual: knockd-events(7) lists every kind as it is.
func TestEventsManual(t *testing.T) {
	const page, begin, end = "../knockd/knockd-events.7", ".\\\" BEGIN\n", ".\\\" END\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatal("no marks around the list")
	}
	var want strings.Builder
	event.Kinds(func(keyword, doc string, fields []string) {
		fmt.Fprintf(&want, ".It Dv %s\n%s%s.\n", keyword, strings.ToUpper(doc[:1]), doc[1:])
		if len(fields) > 0 {
			fmt.Fprintf(&want, "Fields:\n.Li %s .\n", strings.Join(fields, "\n.Li "))
		}
	})
	if *updateEvents {
		if err := os.WriteFile(page, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("go test ./cmd/knockctl -update-events mends it (-want +got):\n%s", diff)
	}
}

// TestEvents: the list for people and the one for programs name the same.
func TestEvents(t *testing.T) {
	list := func(args ...string) string {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"events"}, args...), &world{stdout: &out, stderr: &errs}); code != 0 {
			t.Fatalf("%d: %s", code, &errs)
		}
		return out.String()
	}
	text := list()
	n := 0
	for line := range strings.Lines(list("--json")) {
		var k eventKind
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		n++
		if !strings.Contains(text, fmt.Sprintf("%-20s %s\n", k.Event, k.Doc)) || len(k.MessageID) != 32 {
			t.Errorf("%+v", k)
		}
	}
	if n != strings.Count(text, "\n")/2 || !strings.Contains(text, "ATTEMPT_FAILED") {
		t.Errorf("%d kinds:\n%s", n, text)
	}
}
