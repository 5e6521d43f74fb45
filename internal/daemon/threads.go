package daemon

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errThreads says that this build cannot change all threads at once.
var errThreads = errors.New("built with cgo, which keeps them: build with CGO_ENABLED=0")

// limitCapabilities drops all capabilities but the given ones from every
// thread, and sees to it that executing a program, by root too, gives nothing
// back: capabilities(7) are a thread's own, and so are all the rest.
func limitCapabilities(keep uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	if err := forbidGain(); err != nil {
		return err
	}
	if now[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		if err := emptyBounds(); err != nil {
			return err
		}
	}
	for i := range now {
		mask := uint32(keep >> (32 * i))
		now[i].Effective &= mask
		now[i].Permitted &= mask
		now[i].Inheritable = 0 // and so the ambient ones
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&now[0])), 0)
	return threadsError("capset", errno)
}

// emptyBounds empties the capability bounding set. It takes CAP_SETPCAP, which a
// unit may well leave out; without it the bounding set is what the unit says.
func emptyBounds() error {
	for c := range uintptr(64) {
		err := prctlAll(unix.PR_CAPBSET_DROP, c)
		if errors.Is(err, unix.EINVAL) { // behind the last one of this kernel
			break
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forbidGain sets no_new_privs on every thread.
func forbidGain() error {
	err := prctlAll(unix.PR_SET_NO_NEW_PRIVS, 1)
	if !errors.Is(err, errThreads) {
		return err
	}
	// The kernel gives it to all threads along with a seccomp filter, which may
	// let everything through.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := unix.SockFprog{Len: 1, Filter: &allow}
	other, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return os.NewSyscallError("seccomp", errno)
	case other != 0:
		return fmt.Errorf("seccomp: thread %d has another filter", other)
	}
	return nil
}

// prctlAll is prctl(2) on every thread.
func prctlAll(option int, value uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, uintptr(option), value, 0, 0, 0, 0)
	return threadsError("prctl", errno)
}

func threadsError(call string, errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return errThreads
	}
	return os.NewSyscallError(call, errno)
}
