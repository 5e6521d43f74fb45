package nettest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// setnsNumber is the system call setns(2), which package syscall does not
// know (Linux, include/uapi/asm-generic/unistd.h and arch tables).
var setnsNumber = map[string]uintptr{
	"amd64": 308, "386": 346, "arm": 375, "arm64": 268, "riscv64": 268,
	"loong64": 268, "ppc64le": 350, "s390x": 339,
}[runtime.GOARCH]

func setns(ns *os.File) error {
	if setnsNumber == 0 {
		return fmt.Errorf("setns on %s: %w", runtime.GOARCH, syscall.ENOSYS)
	}
	_, _, errno := syscall.RawSyscall(setnsNumber, ns.Fd(), syscall.CLONE_NEWNET, 0)
	if errno != 0 {
		return os.NewSyscallError("setns", errno)
	}
	return nil
}

// current opens the network namespace of the calling thread.
func current() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// newNamespace makes a network namespace that lives as long as the file.
func newNamespace() (ns *os.File, err error) {
	err = onThread(func() error {
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		ns, err = current()
		return err
	})
	return ns, err
}

// inNamespace runs f on a thread that is in the namespace.
func inNamespace(ns *os.File, f func() error) error {
	return onThread(func() error {
		if err := setns(ns); err != nil {
			return err
		}
		return f()
	})
}

// loopbackUp sets loopback up where the thread is (netdevice(7)).
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return os.NewSyscallError("set loopback up", errno)
	}
	return nil
}

// onThread runs f on a thread that no other goroutine uses meanwhile, then
// puts the thread back into the namespace it came from. A thread that cannot
// be put back ends with its goroutine.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := current()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		// Deferred, so that a test's FailNow or panic in f ends it in order.
		finished := false
		defer func() {
			if setns(home) == nil {
				runtime.UnlockOSThread()
			}
			if !finished {
				err = errUnfinished
			}
			done <- err
		}()
		err = f()
		finished = true
	}()
	return <-done
}

var errUnfinished = errors.New("nettest: the function in the host did not return")

// killIn kills the processes that are in a namespace and says how many.
func killIn(ns *os.File) (n int) {
	here, err := ns.Stat()
	if err != nil {
		return 0
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, name := range dirs {
		there, err := os.Stat(name)
		if err != nil || !os.SameFile(here, there) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(name, "/")[2])
		if err == nil && pid != os.Getpid() && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}
