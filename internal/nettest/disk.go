package nettest

import (
	"fmt"
	"os"
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

// DeadMount mounts a file system that answers nothing on a directory, which it
// makes if there is none, until the test ends or those who wait for an answer are
// let go. It needs root.
func DeadMount(t testing.TB, dir string) (letGo func()) {
	t.Helper()
	NeedRealRoot(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		err = syscall.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd()))
	}
	if err != nil {
		server.Close()
		LacksKernel(t, fmt.Sprintf("fuse: %v", err))
	}
	letGo = func() {
		server.Close()
		syscall.Unmount(dir, syscall.MNT_DETACH)
	}
	t.Cleanup(letGo)
	return letGo
}
