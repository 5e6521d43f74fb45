package statefile

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestDeadMount: no call returns before the file system answers, and yet nobody
// waits longer than Limit, or a second time.
func TestDeadMount(t *testing.T) {
	t.Parallel()
	mounted := t.TempDir()
	free := nettest.DeadMount(t, mounted)
	dir, path := filepath.Join(mounted, "dir"), filepath.Join(mounted, "file")
	var all sync.WaitGroup
	for name, ask := range map[string]func() error{
		"read":   func() error { _, _, err := Source{Max: 9}.Read(path); return err },
		"list":   func() error { _, err := List(dir, nil); return err },
		"append": func() error { _, err := Append(path + ".log"); return err },
	} {
		all.Go(func() {
			for i := range 3 {
				begin := time.Now()
				err := ask()
				if took := time.Since(begin); !errors.Is(err, ErrNoAnswer) || took > 4*Limit || i > 0 && took > Limit {
					t.Errorf("%s, try %d: %v after %v", name, i, err, took)
				}
			}
		})
	}
	all.Wait()
	free()
	nettest.Eventually(t, "nobody waits any more", func() bool { return !awaited(path) && !awaited(dir+"/") })
}
