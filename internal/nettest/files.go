package nettest

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	update = flag.Bool("update", false, "rewrite the files that hold what is expected")
	seed   = flag.Uint64("seed", 0, "of what is random; 0: another one each time")
)

// Seed returns where what is random in a test begins: another number each time,
// or that of the flag -seed. The test's log says how to repeat it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	n := *seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test -run '^%s$' -seed %d", t.Name(), n)
	return n
}

// Rand returns what Seed begins.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Write writes a text to a file that is for its owner alone, who is the owner of
// its directory, and returns the file's path.
func Write(t testing.TB, path, text string) string {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o600)
	var dir syscall.Stat_t
	if err == nil {
		err = syscall.Stat(filepath.Dir(path), &dir)
	}
	if err == nil && int(dir.Uid) != os.Geteuid() {
		err = os.Chown(path, int(dir.Uid), int(dir.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Read returns the text of a file.
func Read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Expected returns the text of a golden file. With the flag -update it becomes
// the text that the test has got.
func Expected(t testing.TB, path, got string) string {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Read(t, path)
}

// Golden fails the test unless a golden file holds the text that it has got.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	if diff := cmp.Diff(Expected(t, path, got), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
