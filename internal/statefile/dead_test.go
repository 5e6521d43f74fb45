package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// deadMount mounts a file system whose server answers nothing, and returns how
// to let go of those who wait for it.
func deadMount(t *testing.T) (dir string, free func()) {
	t.Helper()
	nettest.NeedRealRoot(t)
	dir = t.TempDir()
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		err = unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd()))
	}
	if err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("fuse: %v", err))
	}
	free = func() {
		_ = server.Close()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
	t.Cleanup(free)
	return dir, free
}

// TestDeadMount: no call returns before the file system answers, and yet nobody
// waits longer than Limit, or a second time.
func TestDeadMount(t *testing.T) {
	t.Parallel()
	mounted, free := deadMount(t)
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
	eventually(t, "nobody waits any more", func() bool { return !awaited(path) && !awaited(dir+"/") })
}
