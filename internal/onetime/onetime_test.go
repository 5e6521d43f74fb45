package onetime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"knockd/internal/knock"
)

// parse takes "N" or "N,N".
func parse(text string) (steps []knock.Step, err error) {
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return nil, err
		}
		steps = append(steps, knock.Step{Proto: knock.TCP, Port: uint16(n)})
	}
	return steps, nil
}

func newFile(t *testing.T, text string) *File {
	path := filepath.Join(t.TempDir(), "sequences")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &File{Path: path, Parse: parse}
}

func content(t *testing.T, f *File) string {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTake(t *testing.T) {
	f := newFile(t, " 7000,8000\n# comment\n\nbogus\r\n9000")
	var skipped []int
	f.Skipped = func(line int) { skipped = append(skipped, line) }
	for i, want := range []struct {
		number int
		text   string
	}{
		{1, "#7000,8000\n# comment\n\nbogus\r\n9000"},
		{5, "#7000,8000\n# comment\n\nbogus\r\n#000"},
	} {
		l, err := f.Take()
		if err != nil || l.Number != want.number {
			t.Fatalf("take %d: line %d, %v; want line %d", i, l.Number, err, want.number)
		}
		if got := content(t, f); got != want.text {
			t.Fatalf("take %d: file is %q, want %q", i, got, want.text)
		}
	}
	if _, err := f.Take(); !errors.Is(err, ErrExhausted) {
		t.Fatalf("third take: %v, want %v", err, ErrExhausted)
	}
	if !slices.Equal(skipped, []int{4, 4}) {
		t.Errorf("skipped lines %v, want line 4 in each of two reads that came past it", skipped)
	}
}

// TestComments: a comment may stand behind a sequence, as in the configuration.
func TestComments(t *testing.T) {
	f := newFile(t, " 1,2 # laptop\n 3\t; phone\n 4 # a,b\n 5#x\n 6 ; 7\n 8 # see 9:udp\n")
	var skipped []int
	f.Skipped = func(line int) { skipped = append(skipped, line) }
	lines, err := f.Lines()
	if err != nil || len(lines) != 2 || len(lines[0].Steps) != 2 || lines[1].Steps[0].Port != 3 || !slices.Equal(skipped, []int{3, 4, 5, 6}) {
		t.Fatalf("%+v, skipped %v, %v", lines, skipped, err)
	}
	if err := f.Use(lines[0]); err != nil || !strings.HasPrefix(content(t, f), "#1,2 # laptop\n 3") {
		t.Errorf("%v, %q", err, content(t, f))
	}
}

func TestUse(t *testing.T) {
	const text = " 1\n 2\n 1\n"
	for _, c := range []struct{ name, edited, after, fault string }{
		{"unchanged", text, "#1\n 2\n 1\n", ""},
		{"moved down", "# new first line\n" + text, "# new first line\n#1\n 2\n 1\n", ""},
		{"moved up", " 2\n 1\n", " 2\n#1\n", ""},
		{"used by somebody else", "#1\n 2\n#1\n", "", "the sequence in use is not in the file any more"},
		{"gone", " 2\n", "", "the sequence in use is not in the file any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFile(t, text)
			l, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.Path, []byte(c.edited), 0o600); err != nil {
				t.Fatal(err)
			}
			err = f.Use(l)
			if c.fault != "" {
				if err == nil || err.Error() != f.Path+": "+c.fault {
					t.Fatalf("error %v, want %q", err, c.fault)
				}
				return
			}
			if got := content(t, f); err != nil || got != c.after {
				t.Fatalf("file is %q, error %v; want %q", got, err, c.after)
			}
		})
	}
}

func TestTakeAtOnce(t *testing.T) {
	const lines = 200
	f := newFile(t, strings.Repeat(" 7\n", lines))
	var mu sync.Mutex
	taken := map[int]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				l, err := f.Take()
				if err != nil {
					return
				}
				mu.Lock()
				if taken[l.Number] {
					t.Errorf("line %d was taken twice", l.Number)
				}
				taken[l.Number] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(taken) != lines {
		t.Errorf("%d lines taken of %d", len(taken), lines)
	}
}

func FuzzLines(f *testing.F) {
	f.Add(" 1,2\n#3\n\nx\r\n4")
	f.Fuzz(func(t *testing.T, text string) {
		file := newFile(t, text)
		before, err := file.Lines()
		if err != nil || len(before) == 0 {
			return
		}
		if _, err := file.Take(); err != nil {
			t.Fatal(err)
		}
		after, _ := file.Lines()
		if len(after) != len(before)-1 {
			t.Errorf("%d lines before, %d after one was taken", len(before), len(after))
		}
		if now := content(t, file); len(now) != len(text) {
			t.Errorf("the file's length changed from %d to %d", len(text), len(now))
		}
	})
}
