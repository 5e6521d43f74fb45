package client

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
)

// asTaker makes the test binary take lines of a one-time file, as many as the
// environment says, and print them.
const asTaker = "CLIENT_TEST_TAKE"

func TestMain(m *testing.M) {
	if file := os.Getenv(asTaker); file != "" {
		takeLines(file)
		return
	}
	os.Exit(m.Run())
}

func takeLines(file string) {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for range 125 {
		steps, err := (&OneTime{Path: file}).take()
		if err != nil {
			fmt.Fprintln(out, err)
			return
		}
		fmt.Fprintln(out, join(steps))
	}
}

func TestTakeMarksLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seq")
	const before = "# comment\n\n#1,2\n 7000, 8000:udp\n #3\nabc\n9000\n\t5,6\r\n 7"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var skipped []string
	o := &OneTime{Path: file, OnSkip: func(line int, err error) { skipped = append(skipped, fmt.Sprint(line, " ", err)) }}
	if steps, line, err := o.Peek(); err != nil || line != 4 || join(steps) != "7000:tcp 8000:udp" {
		t.Errorf("Peek: %v %d %v", steps, line, err)
	}
	for _, want := range []struct{ steps, file string }{
		{"7000:tcp 8000:udp", "# comment\n\n#1,2\n#7000, 8000:udp\n #3\nabc\n9000\n\t5,6\r\n 7"},
		{"9000:tcp", "# comment\n\n#1,2\n#7000, 8000:udp\n #3\nabc\n#000\n\t5,6\r\n 7"},
		{"5:tcp 6:tcp", "# comment\n\n#1,2\n#7000, 8000:udp\n #3\nabc\n#000\n#5,6\r\n 7"},
		{"7:tcp", "# comment\n\n#1,2\n#7000, 8000:udp\n #3\nabc\n#000\n#5,6\r\n#7"},
	} {
		steps, err := o.take()
		now, _ := os.ReadFile(file)
		if err != nil || join(steps) != want.steps || string(now) != want.file {
			t.Errorf("took %s, %v; file %q\nwant %s; file %q", join(steps), err, now, want.steps, want.file)
		}
	}
	if _, err := o.take(); !errors.Is(err, ErrExhausted) {
		t.Errorf("took from a used up file: %v", err)
	}
	if len(skipped) != 4 || skipped[0] != `6 "abc" is not a port` {
		t.Errorf("skipped %q", skipped)
	}
}

func TestTakeErrors(t *testing.T) {
	o := &OneTime{Path: filepath.Join(t.TempDir(), "missing")}
	err := o.Ask(t.Context(), nil, 0)
	if want := "one-time file " + o.Path + ": open: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTakeAtOnce takes a thousand lines from eight processes: each line once.
func TestTakeAtOnce(t *testing.T) {
	const processes, each = 8, 125
	file := filepath.Join(t.TempDir(), "seq")
	var text strings.Builder
	for i := range processes * each {
		fmt.Fprintf(&text, " %d,%d:udp\n", i+1, i+2)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	outputs := make([]string, processes)
	for i := range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asTaker+"="+file)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			outputs[i] = string(out)
		})
	}
	wg.Wait()
	taken := strings.Split(strings.TrimSpace(strings.Join(outputs, "")), "\n")
	want := strings.Split(strings.TrimSpace(strings.NewReplacer(" ", "", ",", ":tcp ").Replace(text.String())), "\n")
	sort.Strings(taken)
	sort.Strings(want)
	if strings.Join(taken, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d lines taken, %d there, and not the same", len(taken), len(want))
	}
	left, _ := os.ReadFile(file)
	if n := strings.Count("\n"+string(left), "\n#"); n != processes*each {
		t.Errorf("%d lines are marked", n)
	}
}
