package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"knockd/internal/openings"
)

// workers is Workers with the event's words.
func workers() (n int, note string) {
	n, limited := Workers(openings.MaxRunning)
	if limited != nil {
		note = limited.Text()
	}
	return n, note
}

// TestWorkersFitTheLimit: the fewer descriptors, the fewer workers.
func TestWorkersFitTheLimit(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if _, note := workers(); note != "" {
		t.Skip("this machine has other limits: ", note)
	}
	open := uint64(openFiles())
	for _, c := range []struct {
		limit uint64
		want  int
		note  string
	}{
		{open + 20 + 4*openings.MaxRunning, openings.MaxRunning, ""},
		{open + 20 + 4*7 + 3, 7, "at most 7 start commands and 7 stop commands run at a time: "},
		{open + 10, 2, "at most 2 start commands and 2 stop commands run at a time: "},
	} {
		if c.limit > before.Max {
			continue
		}
		limit := unix.Rlimit{Cur: c.limit, Max: before.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		got, note := workers()
		if got != c.want || !strings.HasPrefix(note, c.note) || (note == "") != (c.note == "") {
			t.Errorf("limit %d: %d workers (%s), want %d", c.limit, got, note, c.want)
		}
	}
}

func TestTasksLeft(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/b/pids.max": "100\n", "a/b/pids.current": "20\n",
		"a/pids.max": "max\n", "a/pids.current": "500\n",
		"a/small/pids.max": "1000\n", "a/small/pids.current": "10\n",
		"pids/x/pids.max": "70\n", "pids/x/pids.current": "20\n",
		"pids/pids.max": "60\n", "pids/pids.current": "40\n",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		groups  string
		free    int
		limited bool
	}{
		{"0::/a/b\n", 80, true},
		{"0::/a\n", 0, false},
		{"0::/a/b/deep/down\n", 80, true},
		{"0::/\n", 0, false},
		{"1:cpu:/a/b\n8:pids:/x\n0::/\n", 20, true}, // the group above has less
		{"8:pids:/docker/0123\n", 20, true},
		{"0::/../a/small\n", 990, true},
		{"", 0, false}, {"junk\n::\n", 0, false},
	} {
		if free, limited := tasksLeft(root, c.groups); free != c.free || limited != c.limited {
			t.Errorf("%q: %d left, limited %v; want %d, %v", c.groups, free, limited, c.free, c.limited)
		}
	}
}
