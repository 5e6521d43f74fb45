package daemon

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

const oneTimeDoor = "[a]\none_time_sequences = DIR/lines\ncmd_timeout = 3600\ncommand = open-a\n"

func (w *world) linesAre(want string) {
	w.t.Helper()
	text, _ := os.ReadFile(w.file("lines"))
	if string(text) != want {
		w.t.Errorf("lines %q, want %q", text, want)
	}
}

func inOneTimeWorld(t *testing.T, lines string, test func(w *world)) {
	t.Helper()
	inWorldOf(t, map[string]string{"lines": lines, "k.conf": oneTimeDoor}, func(w *world) {
		w.said()
		test(w)
	})
}

// TestRotation: each line opens once, and is marked first; after the last the
// door is shut, until a reload finds more.
func TestRotation(t *testing.T) {
	inOneTimeWorld(t, " 1,2\nrubbish\n 3,4\n", func(w *world) {
		w.knock("192.0.2.1", 1, 2)
		w.linesAre("#1,2\nrubbish\n 3,4\n")
		w.ran("open-a")
		w.said()
		w.knock("192.0.2.2", 1, 2) // not again
		w.says("")
		w.knock("192.0.2.2", 3, 4)
		const last = "192.0.2.2: a: OPEN SESAME\n"
		text := strings.Replace(w.said(), "a: running command: open-a\n", "", 1) // anywhere behind it
		if !strings.HasSuffix(text, last+"no more sequences left in the one time sequences file for door a --> disabling the door\n") {
			t.Errorf("log:\n%s", text)
		}
		w.linesAre("#1,2\nrubbish\n#3,4\n")
		w.ran("open-a")
		w.write("lines", "#1,2\n 5,6\n")
		w.reload(oneTimeDoor)
		w.knock("192.0.2.2", 5, 6)
		w.ran("open-a")
		w.linesAre("#1,2\n#5,6\n")
	})
}

// TestNotMarked: a line that cannot be marked opens nothing.
func TestNotMarked(t *testing.T) {
	const stages = "192.0.2.1: a: Stage 1\n192.0.2.1: a: Stage 2\n"
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   string
		then   []uint16 // opens
	}{
		{"marked by another", func(w *world) { w.write("lines", "#1,2\n 3,4\n") },
			"a: not opened: mark the sequence as used: DIR/lines: the sequence in use is not in the file any more\n", []uint16{3, 4}},
		{"no file", func(w *world) { os.Remove(w.file("lines")) },
			"a: not opened: mark the sequence as used: open DIR/lines: no such file or directory\n" +
				"a: read the next sequence: open DIR/lines: no such file or directory --> disabling the door\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inOneTimeWorld(t, " 1,2\n 3,4\n", func(w *world) {
				c.change(w)
				w.knock("192.0.2.1", 1, 2)
				w.says(stages + c.want)
				w.ran()
				if c.then != nil {
					w.knock("192.0.2.1", c.then...)
					w.ran("open-a")
				}
			})
		})
	}
}

// TestHeld: a local user who holds the lock of the file keeps its door shut, and
// nothing else: the reload and the end do not wait for him, the line is not used
// and opens as soon as he lets go.
func TestHeld(t *testing.T) {
	inOneTimeWorld(t, " 1,2\n", func(w *world) {
		held, err := os.Open(w.file("lines"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
			t.Fatal(err)
		}
		const refused = "a: not opened: mark the sequence as used: lock DIR/lines: somebody else holds it\n"
		for range 2 {
			w.knock("192.0.2.1", 1, 2)
			time.Sleep(2 * time.Second)
			w.says("192.0.2.1: a: Stage 1\n192.0.2.1: a: Stage 2\n" + refused)
		}
		w.ran()
		w.linesAre(" 1,2\n")
		w.knock("192.0.2.1", 1, 2)
		w.reload(oneTimeDoor) // waits for the line, not for its holder
		time.Sleep(2 * time.Second)
		if text := w.said(); !strings.HasSuffix(text, "re-reading config file: k.conf\n"+refused) || len(w.reopen) != 1 {
			t.Errorf("log:\n%s, reloaded %d times", text, len(w.reopen))
		}
		held.Close()
		w.knock("192.0.2.1", 1, 2)
		w.ran("open-a")
		w.linesAre("#1,2\n")
		if took := w.ends(); took != 0 {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestEndWhileHeld: nor does the end wait for long.
func TestEndWhileHeld(t *testing.T) {
	inOneTimeWorld(t, " 1,2\n", func(w *world) {
		held, err := os.Open(w.file("lines"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
			t.Fatal(err)
		}
		w.knock("192.0.2.1", 1, 2)
		if took := w.ends(); took > 2*time.Second {
			t.Errorf("the end took %v", took)
		}
		w.ran()
	})
}

// TestLinesAdded: whoever adds a line to a file whose last one, in use, has no
// end does not take that one away.
func TestLinesAdded(t *testing.T) {
	inOneTimeWorld(t, " 1,2", func(w *world) {
		w.write("lines", " 1,2\n 3,4\n")
		w.knock("192.0.2.1", 1, 2, 3, 4)
		w.ran("open-a", "open-a")
		w.linesAre("#1,2\n#3,4\n")
	})
}

// TestReloadWhileMarking: a reload that begins while a line is marked does not
// bring it back, and reads the file no more often than it must.
func TestReloadWhileMarking(t *testing.T) {
	inOneTimeWorld(t, " 1,2\n 3,4\n", func(w *world) {
		w.slow = make(chan struct{})
		w.reload(oneTimeDoor) // waits
		file, _ := w.d.engine.Doors()[0].OneTime()
		disk := make(chan struct{})
		parse := file.Parse
		file.Parse = func(text string) ([]knock.Step, error) { <-disk; return parse(text) }
		w.knock("192.0.2.1", 1, 2) // waits
		w.slow <- struct{}{}       // read, while the next line is not known
		time.Sleep(time.Minute)
		if w.loads != 1 {
			t.Errorf("read %d times while a line was being marked, want 1", w.loads)
		}
		close(disk)
		w.slow <- struct{}{}
		w.said()
		w.knock("192.0.2.2", 1, 2) // is not in use any more
		w.says("")
		w.knock("192.0.2.2", 3, 4)
		w.ran("open-a", "open-a")
		if want := []bool{true}; !slices.Equal(w.reopen, want) {
			t.Errorf("log file opened again: %v, want %v", w.reopen, want)
		}
	})
}
