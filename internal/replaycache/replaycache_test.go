package replaycache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

const age = 120 * time.Second

var noon = time.Unix(1795330800, 0)

func token(i int) Token { return sha256.Sum256(fmt.Append(nil, i)) }

func open(t *testing.T, path string, now time.Time) *Store {
	t.Helper()
	s, err := Open(path, age, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Use enters a token and waits until it is safe.
func (s *Store) Use(token Token, stamp, now time.Time) error {
	safe, err := s.Enter(token, stamp, now)
	if err != nil {
		return err
	}
	return safe()
}

// word says what Use made of a token.
func word(err error) string {
	switch {
	case err == nil:
		return "new"
	case errors.Is(err, fs.ErrExist):
		return err.Error()
	}
	return "fault: " + err.Error()
}

func TestUse(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), noon)
	const floor = "not newer than 2026-11-22 07:00:00 UTC: what was used up to then is no longer remembered"
	for _, c := range []struct {
		name  string
		token int
		stamp time.Duration
		want  string
	}{
		{"first", 1, time.Second, "new"},
		{"again", 1, time.Second, "used before"},
		{"again with another time", 1, time.Minute, "used before"},
		{"other token", 2, time.Second, "new"},
		{"at the floor", 3, 0, floor},
		{"below the floor", 3, -time.Hour, floor},
		{"a fraction above the floor is at it", 3, 999 * time.Millisecond, floor},
		{"refused ones are not entered", 3, 2 * time.Second, "new"},
		{"after 2038", 4, 300000 * time.Hour, "new"},
	} {
		if got := word(s.Use(token(c.token), noon.Add(c.stamp), noon)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Test2040: nothing that was used is new, also when the clock's seconds take more
// than 31 bits, across the moment at which they begin to.
func Test2040(t *testing.T) {
	for _, now := range []time.Time{
		time.Unix(1<<31-60, 0), time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC), time.Unix(1<<32-60, 0),
	} {
		path := filepath.Join(t.TempDir(), "store")
		s := open(t, path, now)
		for _, later := range []time.Duration{time.Second, time.Minute, 90 * time.Second} {
			if got := word(s.Use(token(int(later)), now.Add(later), now.Add(later))); got != "new" {
				t.Errorf("%v and %v: %s", now, later, got)
			}
		}
		s.Close()
		s = open(t, path, now.Add(100*time.Second))
		for _, later := range []time.Duration{time.Second, time.Minute, 90 * time.Second} {
			if got := word(s.Use(token(int(later)), now.Add(later), now.Add(100*time.Second))); got != "used before" {
				t.Errorf("%v and %v, again: %s", now, later, got)
			}
		}
		s.Close()
		// What is too old to be taken is forgotten, and not new.
		s = open(t, path, now.Add(time.Hour))
		if got := word(s.Use(token(int(time.Second)), now.Add(time.Second), now.Add(time.Hour))); !strings.HasPrefix(got, "not newer than 2") {
			t.Errorf("%v, an hour later: %s", now, got)
		}
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	for i := range 5 {
		if err := s.Use(token(i), noon.Add(time.Duration(i+1)*time.Second), noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(path, age, noon); err == nil || !strings.HasSuffix(err.Error(), "another process uses the store") {
		t.Errorf("second Open: %v", err)
	}
	s.Close()
	if got := word(s.Use(token(9), noon.Add(time.Second), noon)); got != "fault: "+path+": file already closed" {
		t.Errorf("after Close: %s", got)
	}
	s = open(t, path, noon.Add(time.Minute))
	for i := range 5 {
		if got := word(s.Use(token(i), noon.Add(time.Duration(i+1)*time.Second), noon)); got != "used before" {
			t.Errorf("token %d after restart: %s", i, got)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestFloor: what may go goes at the start, and nothing at or below it comes
// back, whatever the clock says.
func TestFloor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	for i := range 10 {
		if err := s.Use(token(i), noon.Add(time.Duration(i+1)*time.Minute), noon); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, path, noon.Add(9*time.Minute)) // forgets what is older than minute 5
	if len(s.used) != 6 || s.floor != noon.Add(4*time.Minute).Unix() {
		t.Fatalf("%d tokens, floor %v", len(s.used), time.Unix(s.floor, 0))
	}
	for _, now := range []time.Time{noon.Add(9 * time.Minute), noon, time.Unix(0, 0)} {
		for i := range 10 {
			if err := s.Use(token(i), noon.Add(time.Duration(i+1)*time.Minute), now); !errors.Is(err, fs.ErrExist) {
				t.Errorf("clock at %v: token %d: %v", now, i, err)
			}
		}
	}
	s.Close()
	s = open(t, path, time.Unix(0, 0)) // no clock
	for i := range 10 {
		if err := s.Use(token(i), noon.Add(time.Duration(i+1)*time.Minute), time.Unix(0, 0)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("without clock: token %d: %v", i, err)
		}
	}
	if got := word(s.Use(token(10), noon.Add(11*time.Minute), time.Unix(0, 0))); got != "new" {
		t.Errorf("new token without clock: %s", got)
	}
}

// TestClockAhead: a clock that was far ahead for a while makes no floor in the
// future.
func TestClockAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	s.Use(token(1), noon.Add(time.Second), noon)
	s.Close()
	s = open(t, path, noon.Add(100000*time.Hour))
	s.Close()
	s = open(t, path, noon)
	if got := word(s.Use(token(2), noon.Add(2*time.Second), noon)); got != "new" {
		t.Error(got)
	}
	if err := s.Use(token(1), noon.Add(time.Second), noon); !errors.Is(err, fs.ErrExist) {
		t.Errorf("old token: %v", err)
	}
}

// TestTorn cuts the file at every octet: a cut in the first line is a fault,
// behind it every whole line counts and the next token can be entered.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	var file []byte
	ends := []int{}
	file = appendText(file, noon.Unix(), magic)
	ends = append(ends, len(file))
	for i := range 4 {
		file = appendLine(file, noon.Unix()+1+int64(i), token(i))
		ends = append(ends, len(file))
	}
	for n := range len(file) + 1 {
		if err := os.WriteFile(path, file[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, age, noon)
		if n < ends[0]-1 { // the newline itself may be missing
			if want := path + ":1: damaged"; err == nil || err.Error() != want {
				t.Errorf("cut at %d: %v, want %s", n, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("cut at %d: %v", n, err)
			continue
		}
		for i := range 4 {
			got, want := word(s.Use(token(i), noon.Add(10*time.Second), noon)), "new"
			if n >= ends[i+1] {
				want = "used before"
			}
			if got != want {
				t.Errorf("cut at %d: token %d: %s, want %s", n, i, got, want)
			}
		}
		s.Close()
		s, err = Open(path, age, noon)
		if err != nil || len(s.used) != 4 {
			t.Fatalf("cut at %d: opened again: %v", n, err)
		}
		s.Close()
	}
}

func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	head := string(appendText(nil, noon.Unix(), magic))
	line := func(i int) string { return string(appendLine(nil, noon.Unix()+1, token(i))) }
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", ":1: damaged"},
		{"another file", "hello\n", ":1: damaged"},
		{"no first line", line(1) + line(2), ":1: damaged"},
		{"a line in the middle", head + line(1)[3:] + line(2), ":2: damaged"},
		{"zeros in the middle", head + line(1) + strings.Repeat("\x00", 50) + "\n" + line(2), ":3: damaged"},
		{"zeros at the end", head + line(1) + strings.Repeat("\x00", 50), ""},
		{"two torn lines at the end", head + line(1) + line(2)[:40] + "\n" + line(3)[:40], ""},
		{"wrong sum at the end", head + line(1) + strings.Replace(line(2), " ", "  ", 1), ""},
	} {
		nettest.Write(t, path, c.file)
		s, err := Open(path, age, noon)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), path)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if err == nil {
			s.Close()
		} else if now, _ := os.ReadFile(path); string(now) != c.file {
			t.Errorf("%s: the damaged file was changed", c.name)
		}
	}
}

func TestUntrustedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	os.WriteFile(path, appendText(nil, noon.Unix(), magic), 0o600)
	os.Chmod(path, 0o622)
	if _, err := Open(path, age, noon); err == nil || err.Error() != path+": must be a file that nobody else can write" {
		t.Errorf("writable by others: %v", err)
	}
	os.Chmod(path, 0o600)
	os.Symlink(path, path+"-link")
	if _, err := Open(path+"-link", age, noon); err == nil || !strings.Contains(err.Error(), "too many levels of symbolic links") {
		t.Errorf("symbolic link: %v", err)
	}
	if _, err := Open(dir, age, noon); err == nil || err.Error() != dir+": must be a file that nobody else can write" {
		t.Errorf("directory: %v", err)
	}
}

// TestTakenAway: what happens to the file while the store is open makes nothing
// new again.
func TestTakenAway(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"deleted":    os.Remove,
		"emptied":    func(path string) error { return os.Truncate(path, 0) },
		"cut":        func(path string) error { return os.Truncate(path, 60) },
		"grown":      func(path string) error { return os.Truncate(path, 9000) },
		"replaced":   func(path string) error { os.Remove(path); return os.WriteFile(path, []byte("x"), 0o600) },
		"moved away": func(path string) error { return os.Rename(path, path+"-old") },
	} {
		path := filepath.Join(t.TempDir(), "store")
		s := open(t, path, noon)
		for i := range 3 {
			s.Use(token(i), noon.Add(time.Second), noon)
		}
		if err := harm(path); err != nil {
			t.Fatal(err)
		}
		if got := word(s.Use(token(3), noon.Add(time.Second), noon)); got != "new" {
			t.Errorf("%s: %s", name, got)
		}
		s.Close()
		s = open(t, path, noon)
		for i := range 4 {
			if got := word(s.Use(token(i), noon.Add(time.Second), noon)); got != "used before" {
				t.Errorf("%s: token %d after restart: %s", name, i, got)
			}
		}
	}
}

// TestTakenAwayUnused is the same if nothing was used after it, and with a daemon
// that ends by itself or is killed: what was used stays so, also if its time is
// ahead, and only in the second case has the store to guess.
func TestTakenAwayUnused(t *testing.T) {
	ahead := noon.Add(age)
	for _, killed := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "store")
		s := open(t, path, noon)
		if s.Origin() != New || !s.Floor().Equal(noon) {
			t.Errorf("origin %v, floor %v", s.Origin(), s.Floor())
		}
		if got := word(s.Use(token(1), ahead, noon)); got != "new" {
			t.Fatal(got)
		}
		if !killed {
			os.Remove(path)
		}
		s.Close()
		if killed {
			os.Remove(path)
		}
		s = open(t, path, noon)
		want := map[bool]Origin{false: Found, true: Remade}[killed]
		if s.Origin() != want {
			t.Errorf("killed %v: origin %v", killed, s.Origin())
		}
		if err := s.Use(token(1), ahead, noon); !errors.Is(err, fs.ErrExist) {
			t.Errorf("killed %v: used again: %v", killed, err)
		}
		if got := word(s.Use(token(2), ahead.Add(time.Second), noon)); got != "new" {
			t.Errorf("killed %v: a later one: %s", killed, got)
		}
		s.Close()
		if s = open(t, path, noon); s.Origin() != Found {
			t.Errorf("killed %v: origin after all %v", killed, s.Origin())
		}
	}
}

// TestUnwritable: nothing is new while the file cannot be written; afterwards
// what was refused for that reason is used up.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	os.Mkdir(dir, 0o700)
	path := filepath.Join(dir, "store")
	s := open(t, path, noon)
	s.Use(token(1), noon.Add(time.Second), noon)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	for i := 2; i < 4; i++ {
		if got, want := word(s.Use(token(i), noon.Add(time.Second), noon)), "fault: write store: open "+path+".new: no such file or directory"; got != want {
			t.Errorf("token %d: %q, want %q", i, got, want)
		}
	}
	os.Mkdir(dir, 0o700)
	for i, want := range []string{1: "used before", 2: "used before", 3: "used before", 4: "new"} {
		if got := word(s.Use(token(i), noon.Add(time.Second), noon)); i > 0 && got != want {
			t.Errorf("token %d: %q, want %q", i, got, want)
		}
	}
	s.Close()
	s = open(t, path, noon)
	if len(s.used) < 4 {
		t.Errorf("%d tokens after restart", len(s.used))
	}
}

// TestBounded: neither memory nor file grow beyond the bound, not even with
// tokens of one second, and nothing forgotten comes back.
func TestBounded(t *testing.T) {
	defer func(n int) { maxTokens = n }(maxTokens)
	maxTokens = 100
	for name, step := range map[string]time.Duration{"one second": 0, "each its own": time.Second} {
		path := filepath.Join(t.TempDir(), "store")
		s := open(t, path, noon)
		stamp := func(i int) time.Time { return noon.Add(time.Second + time.Duration(i)*step) }
		for i := range 350 {
			s.Use(token(i), stamp(i), noon)
			if len(s.used) > maxTokens+1 {
				t.Fatalf("%s: %d tokens", name, len(s.used))
			}
		}
		for i := range 350 {
			if err := s.Use(token(i), stamp(i), noon); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: token %d again: %v", name, i, err)
			}
		}
	}
}

// TestRewrite: the file does not grow with use.
func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	var now time.Time
	for i := range 4000 {
		now = noon.Add(time.Duration(i) * 10 * time.Second)
		if err := s.Use(token(i), now.Add(time.Second), now); err != nil {
			t.Fatal(err)
		}
	}
	info, _ := os.Stat(path)
	if limit := int64(rewriteLines+100) * 90; info.Size() > limit {
		t.Errorf("%d octets, more than %d", info.Size(), limit)
	}
	if err := s.Use(token(0), noon.Add(time.Second), now); !errors.Is(err, fs.ErrExist) {
		t.Errorf("first token again: %v", err)
	}
}

// TestMany: of many who bring one token one wins, and all that won are on disk.
func TestMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	var wins [40]atomic.Int32
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range len(wins) {
				i := (i + g) % len(wins)
				if s.Use(token(i), noon.Add(time.Second), noon) == nil {
					wins[i].Add(1)
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	s = open(t, path, noon)
	for i := range wins {
		if n := wins[i].Load(); n != 1 {
			t.Errorf("token %d was new %d times", i, n)
		}
		if got := word(s.Use(token(i), noon.Add(time.Second), noon)); got != "used before" {
			t.Errorf("token %d after restart: %s", i, got)
		}
	}
}

// TestNobodyWaits: what was entered is used at once and reaches the disk, though
// nobody waits for it.
func TestNobodyWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	for i := range 3000 {
		if _, err := s.Enter(token(i), noon.Add(time.Second), noon); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Enter(token(i), noon.Add(time.Second), noon); err != ErrUsed {
			t.Fatalf("token %d again: %v", i, err)
		}
	}
	// As after a crash: what is on disk, without an end in good order.
	killed := &Store{path: path, used: map[Token]int64{}}
	nettest.Eventually(t, "3000 tokens on disk", func() bool {
		if err := killed.parse([]byte(nettest.Read(t, path))); err != nil {
			t.Fatal(err)
		}
		return len(killed.used) == 3000
	})
}

// TestDeadDisk: tokens that come while the disk does not answer cost bounded
// memory, and none of them becomes new again.
func TestDeadDisk(t *testing.T) {
	defer func(n int) { maxTokens = n }(maxTokens)
	maxTokens = 100
	s := open(t, filepath.Join(t.TempDir(), "store"), noon)
	s.writing = true // for ever
	for i := range 5000 {
		if _, err := s.Enter(token(i), noon.Add(time.Duration(i+1)*time.Second), noon); err != nil {
			t.Fatal(err)
		}
		if len(s.used) > 2*maxTokens+1 || len(s.next.lines) > 200*rewriteLines {
			t.Fatalf("%d tokens, %d octets wait", len(s.used), len(s.next.lines))
		}
	}
	for i := range 5000 {
		if _, err := s.Enter(token(i), noon.Add(time.Duration(i+1)*time.Second), noon); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("token %d again: %v", i, err)
		}
	}
}

// TestCloseWrites: what could not be written is, at the end, if it can be by
// then.
func TestCloseWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	for name, c := range map[string]struct{ harm, mend func(s *Store) }{
		"not moved": {
			func(*Store) { os.Remove(path); os.Mkdir(path, 0o700) },
			func(*Store) { os.Remove(path) },
		},
		"not appended": {
			func(*Store) { notForWriting(t, path) },
			func(*Store) {},
		},
	} {
		s := open(t, path, noon)
		c.harm(s)
		if got := word(s.Use(token(1), noon.Add(time.Second), noon)); !strings.HasPrefix(got, "fault: write ") {
			t.Errorf("%s: %s", name, got)
		}
		c.mend(s)
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s = open(t, path, noon)
		if got := word(s.Use(token(1), noon.Add(time.Second), noon)); got != "used before" {
			t.Errorf("%s: %s", name, got)
		}
		s.Close()
		os.Remove(path)
		os.Remove(path + ".lock")
	}
}

// notForWriting has this process's descriptor of a file permit nothing but reading.
func notForWriting(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		n, _ := strconv.Atoi(filepath.Base(link))
		if to, _ := os.Readlink(link); to == path && n != int(f.Fd()) {
			if err := unix.Dup3(int(f.Fd()), n, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSetAge: what a longer age covers is remembered from then on.
func TestSetAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, noon)
	s.Use(token(1), noon.Add(time.Second), noon)
	s.SetAge(time.Hour)
	os.Remove(path) // causes a rewrite
	s.Use(token(2), noon.Add(30*time.Minute), noon.Add(30*time.Minute))
	if _, ok := s.used[token(1)]; !ok {
		t.Error("forgotten before twice the age")
	}
}

func FuzzParse(f *testing.F) {
	head := string(appendText(nil, noon.Unix(), magic))
	f.Add([]byte(head + string(appendLine(nil, noon.Unix()+1, token(1)))))
	f.Add([]byte(head))
	f.Add([]byte("0 once-1 00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Store{path: "store", used: map[Token]int64{}}
		if err := s.parse(data); err != nil && !errors.Is(err, errDamaged) {
			t.Error(err)
		}
		again := &Store{path: "store", used: map[Token]int64{}}
		text := appendText(nil, s.floor, magic)
		for token, stamp := range s.used {
			text = appendLine(text, stamp, token)
		}
		if err := again.parse(text); err != nil || len(again.used) != len(s.used) || again.floor != s.floor {
			t.Errorf("not the same when read again: %v", err)
		}
	})
}
