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

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
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
	nettest.Write(t, path, text)
	return &File{Path: path, Parse: parse}
}

func content(t *testing.T, f *File) string {
	return nettest.Read(t, f.Path)
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
			nettest.Write(t, f.Path, c.edited)
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

// TestOthers: a file that everybody can write is a fault where lines open doors,
// and who else can do what is said.
func TestOthers(t *testing.T) {
	for _, c := range []struct {
		mode     os.FileMode
		guarded  bool
		err      string
		warnings []string
	}{
		{0o600, true, "", nil},
		{0o640, true, "", nil},
		{0o620, true, "", []string{"its group can write it (mode 0620): who does opens the door"}},
		{0o604, true, "", []string{"everybody can read it (mode 0604): who does knows the sequences, and can keep the door shut"}},
		{0o664, true, "", []string{"its group can write it (mode 0664): who does opens the door",
			"everybody can read it (mode 0664): who does knows the sequences, and can keep the door shut"}},
		{0o666, true, "PATH: everybody can write it: who does opens the door (chmod o-w)", nil},
		{0o602, true, "PATH: everybody can write it: who does opens the door (chmod o-w)", nil},
		{0o602, false, "", nil},
	} {
		f := newFile(t, " 1\n")
		f.Guarded = c.guarded
		if err := os.Chmod(f.Path, c.mode); err != nil {
			t.Fatal(err)
		}
		warnings, err := f.CheckWritable()
		if got := without(f, err); got != c.err || !slices.Equal(warnings, c.warnings) {
			t.Errorf("%o: %q, %q; want %q, %q", c.mode, warnings, got, c.warnings, c.err)
		}
		l, err := f.Take() // the mode may change after the check
		if got := without(f, err); got != c.err || (l.Number == 1) != (c.err == "") {
			t.Errorf("%o: take: line %d, %q; want %q", c.mode, l.Number, got, c.err)
		}
	}
}

// without returns an error's text without the path of the file.
func without(f *File, err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), f.Path, "PATH")
}

// TestForeignOwner: whose file it is can write it.
func TestForeignOwner(t *testing.T) {
	nettest.NeedRealRoot(t)
	f := newFile(t, " 1\n")
	f.Guarded = true
	if err := os.Chown(f.Path, 1234, 0); err != nil {
		t.Fatal(err)
	}
	if warnings, err := f.CheckWritable(); err != nil || !slices.Equal(warnings, []string{"belongs to user 1234: must belong to root"}) {
		t.Errorf("%q, %v", warnings, err)
	}
}

// TestNoFile: what is no file with an end is refused and neither waited for nor
// read.
func TestNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "zero")
	if err := os.Symlink("/dev/zero", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link} {
		f := &File{Path: path, Parse: parse}
		_, checked := f.CheckWritable()
		_, next := f.Next()
		_, taken := f.Take()
		for _, err := range []error{checked, next, taken} {
			if got, want := without(f, err), "PATH: not a regular file"; got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	}
}

// TestHeld: whoever holds the file's lock keeps a line from being used, and that
// is said soon.
func TestHeld(t *testing.T) {
	f := newFile(t, " 1\n")
	held, err := os.Open(f.Path) // to read will do
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	l, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := without(f, f.Use(l)), "lock PATH: somebody else holds it"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	held.Close()
	if err := f.Use(l); err != nil {
		t.Error(err)
	}
	if got := content(t, f); got != "#1\n" {
		t.Errorf("the file is %q", got)
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

// TestUsed: a line that was marked can still be told, in each way in which it may
// have been written.
func TestUsed(t *testing.T) {
	f := newFile(t, " 7000,8000\n9000,1\n# a comment\n60000\n")
	for range 3 {
		if _, err := f.Take(); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := f.Used()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		text := strconv.Itoa(l.Number) + ":"
		for _, s := range l.Steps {
			text += " " + strconv.Itoa(int(s.Port))
		}
		got = append(got, text)
	}
	want := []string{
		"1: 7000 8000", "1: 17000 8000", "1: 27000 8000", "1: 37000 8000", "1: 47000 8000", "1: 57000 8000",
		"2: 0 1", "2: 1000 1", "2: 2000 1", "2: 3000 1", "2: 4000 1", "2: 5000 1", "2: 6000 1", "2: 7000 1", "2: 8000 1", "2: 9000 1",
		"4: 0", "4: 10000", "4: 20000", "4: 30000", "4: 40000", "4: 50000", "4: 60000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
