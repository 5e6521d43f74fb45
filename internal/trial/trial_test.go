package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// atBoot has the machine be in a boot since some time.
func atBoot(t *testing.T, boot string, since time.Duration) {
	t.Helper()
	clock, id := sinceBoot, bootID
	t.Cleanup(func() { sinceBoot, bootID = clock, id })
	sinceBoot, bootID = func() time.Duration { return since }, func() string { return boot }
}

// TestLeft: a trial ends by the machine's own time, in its boot alone.
func TestLeft(t *testing.T) {
	atBoot(t, "a", time.Hour)
	s := New("f", 5*time.Minute)
	for _, c := range []struct {
		boot  string
		since time.Duration
		want  time.Duration
	}{
		{"a", time.Hour, 5 * time.Minute},
		{"a", time.Hour + 299*time.Second, time.Second},
		{"a", time.Hour + 5*time.Minute, 0},
		{"a", 99 * time.Hour, 0},
		{"b", time.Minute, 0}, // when less time than at its begin has passed
		{"", time.Hour, 0},
	} {
		atBoot(t, c.boot, c.since)
		if got := s.Left(); got != c.want {
			t.Errorf("boot %q at %v: %v, want %v", c.boot, c.since, got, c.want)
		}
	}
	atBoot(t, "", time.Hour)
	if left := New("f", time.Hour).Left(); left != 0 {
		t.Errorf("in an unknown boot %v are left", left)
	}
	if left := Unknown("f").Left(); left != 0 {
		t.Errorf("of an unknown trial %v are left", left)
	}
}

// TestStore: what was noted is found, what was taken away is not.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := NewStore(dir, "etc-knockd.conf")
	if got, err := s.Read(); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	want := New("f", time.Minute)
	want.Keep, want.Kept = []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 23}}, "g"
	for range 2 {
		if err := s.Write(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Read()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for range 2 {
		if err := s.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Read(); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// TestReadFaults: a state that says nothing, or that somebody else could have
// written, is an error and not taken for none.
func TestReadFaults(t *testing.T) {
	s := NewStore(t.TempDir(), "k")
	for text, mode := range map[string]os.FileMode{"": 0o600, "{": 0o600, "{}": 0o600, `{"fingerprint":"f"}`: 0o666} {
		nettest.Write(t, s.Path(), text)
		if err := os.Chmod(s.Path(), mode); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	os.Remove(s.Path())
	if err := os.Symlink("/dev/null", s.Path()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(); err == nil {
		t.Errorf("a symbolic link: %v", got)
	}
}

// TestKeep: what was kept is the same configuration, drop-ins too, and of what was
// kept before nothing is left.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	s := NewStore(filepath.Join(dir, "state"), "k.conf")
	load := func(path string) *config.Config {
		t.Helper()
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		nettest.Write(t, path, text)
	}
	write("k.conf", "[a]\nsequence = 7000,9000\n")
	write("k.conf.d/10-b.conf", "[b]\nnew = yes\nsequence = 7000,9500\n")
	write("k.conf.d/15-a name \\n Ö.conf", "# odd\n")
	write("k.conf.d/20-a.conf", "[a]\nstrict = yes\n")
	old := load(filepath.Join(dir, "k.conf"))
	os.RemoveAll(filepath.Join(dir, "k.conf.d"))
	write("k.conf", "[c]\nsequence = 7000,9900\n")
	if err := s.Keep(old.Files); err != nil {
		t.Fatal(err)
	}
	kept := load(s.KeptPath())
	if kept.Files.Fingerprint != old.Files.Fingerprint || len(kept.Doors) != 2 || !kept.Doors[0].Strict {
		t.Errorf("%d doors, %s, want %s", len(kept.Doors), kept.Files.Fingerprint, old.Files.Fingerprint)
	}
	fresh := load(filepath.Join(dir, "k.conf"))
	if fresh.Files.Fingerprint == old.Files.Fingerprint {
		t.Error("two configurations have one fingerprint")
	}
	if err := s.Keep(fresh.Files); err != nil {
		t.Fatal(err)
	}
	if kept := load(s.KeptPath()); kept.Files.Fingerprint != fresh.Files.Fingerprint {
		t.Errorf("%d doors", len(kept.Doors))
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "state"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestFingerprint: where one text ends and another begins counts.
func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for _, files := range [][]string{
		{"a", "[x]\nsequence = 1\n"},
		{"a", "[x]\nsequence = 1\n", "1.conf", ""},
		{"a", "[x]\nsequence = 1\n", "2.conf", ""},
		{"a", "[x]\nsequence = 1\n# 1.conf\n"},
		{"a", "[x]\nsequence = 1\n", "1.conf", "", "2.conf", ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, files[0])
		nettest.Write(t, path, files[1])
		if err := os.Mkdir(path+".d", 0o755); err != nil {
			t.Fatal(err)
		}
		for i := 2; i < len(files); i += 2 {
			nettest.Write(t, filepath.Join(path+".d", files[i]), files[i+1])
		}
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Join(files, "|")
		if other, ok := seen[c.Files.Fingerprint]; ok {
			t.Errorf("%q is as %q", name, other)
		}
		seen[c.Files.Fingerprint] = name
	}
}
