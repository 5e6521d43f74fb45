package client

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"knockd/internal/knock"
)

// asTaker makes the test binary knock at itself with 125 lines of the one-time
// file that the environment names, and print them.
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
		var sent []string
		o := &OneTime{Path: file, Pace: Pace{OnHit: func(_ netip.Addr, s knock.Step) { sent = append(sent, s.String()) }}}
		err := o.Ask(context.Background(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, 0)
		// On a busy machine the others may have it for longer than it is tried.
		for err != nil && strings.HasSuffix(err.Error(), "somebody else holds it") {
			err = o.Ask(context.Background(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, 0)
		}
		if err != nil {
			fmt.Fprintln(out, err)
			return
		}
		fmt.Fprintln(out, strings.Join(sent, " "))
	}
}

func TestPeek(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seq")
	const text = "# comment\n\n#1,2\nabc\n 7000, 8000:udp\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var skipped []int
	o := &OneTime{Path: file, OnSkip: func(line int) { skipped = append(skipped, line) }}
	if line, err := o.Peek(); err != nil || line.Number != 5 || join(line.Steps) != "7000:tcp 8000:udp" {
		t.Errorf("%+v, %v", line, err)
	}
	if now, _ := os.ReadFile(file); string(now) != text || len(skipped) != 1 || skipped[0] != 4 {
		t.Errorf("file %q, skipped %v", now, skipped)
	}
}

func TestOneTimeErrors(t *testing.T) {
	o := &OneTime{Path: filepath.Join(t.TempDir(), "missing")}
	_, peeking := o.Peek()
	if err := o.Ask(t.Context(), nil, 0); err == nil || peeking == nil || err.Error() != peeking.Error() {
		t.Errorf("%v, %v", err, peeking)
	}
	err := o.Ask(t.Context(), nil, 0)
	if want := "one-time file " + o.Path + ": open: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTakeAtOnce takes a thousand lines from eight processes: each line once.
func TestOneTimeAtOnce(t *testing.T) {
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
