package nettest

import (
	"runtime"
	"syscall"
	"testing"
)

// OnSmallDisk calls f in a thread of its own that alone sees a small tmpfs; it
// needs root.
func OnSmallDisk(t *testing.T, options string, f func(dir string)) {
	t.Helper()
	NeedRealRoot(t)
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		// The thread is not used again: it ends with this goroutine.
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS)
		if err == nil {
			err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			err = syscall.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=0700")
		}
		if err == nil {
			f(dir)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
