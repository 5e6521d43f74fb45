package nettest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// inside marks the process that Run has put into a user namespace.
const inside = "NETTEST_INSIDE"

// Umask has what the tests make be writable for its owner alone, whatever the
// umask of who runs them: what others can write is refused. Call it from
// TestMain, unless Main or Run is called there.
func Umask() { syscall.Umask(0o022) }

// Main runs a package's tests and ends the process; call it from TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run runs a package's tests and returns the exit status. Where making network
// namespaces is not allowed, it runs the tests once more in a user namespace,
// in which they are root, if the kernel permits that. Files still belong to
// the user who runs the tests.
func Run(m *testing.M) int {
	rootsPath()
	Umask()
	if os.Getenv(inside) != "" {
		loopbackUp() // tests of one host alone use it; each says what it misses
		return m.Run()
	}
	if privileged() == nil {
		return m.Run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	// The lock of iptables-legacy is a file of root's.
	cmd.Env = append(os.Environ(), inside+"=1", "XTABLES_LOCKFILE=/dev/null")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return m.Run() // each test says what it misses
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "nettest: tests in a user namespace:", err)
	return 1
}

// privileged says why network namespaces cannot be made and configured, or nil.
var privileged = sync.OnceValue(func() error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	return inNamespace(ns, loopbackUp)
})

// NeedRoot skips the test unless it may make network namespaces and configure
// them, as root or as root of a user namespace. With CI=true it fails.
func NeedRoot(t testing.TB) {
	t.Helper()
	if err := privileged(); err != nil {
		Missing(t, "needs root, or user namespaces for everybody: %v", err)
	}
}

// RealRoot reports whether the test is root of the machine (or of its container),
// not merely of a user namespace that Run has made.
func RealRoot() bool { return os.Geteuid() == 0 && os.Getenv(inside) == "" }

// NeedRealRoot skips the test unless it is root outside of a user namespace
// made by Run. With CI=true it fails.
func NeedRealRoot(t testing.TB) {
	t.Helper()
	if !RealRoot() {
		Missing(t, "needs root")
	}
}

// LacksKernel skips the test, with CI=true too, because the kernel has not
// got a feature.
func LacksKernel(t testing.TB, feature string) {
	t.Helper()
	t.Skipf("the kernel lacks %s", feature)
}

// NeedLink skips the test unless the kernel can make interfaces of a type, as
// `ip link add type` calls it: "wireguard", "vlan", "bridge".
func (h *Host) NeedLink(kind string, args ...string) {
	h.t.Helper()
	const name = "nettest0"
	out, err := h.Try("ip", append([]string{"link", "add", "name", name, "type", kind}, args...)...)
	if err != nil {
		LacksKernel(h.t, fmt.Sprintf("interfaces of type %s (%s)", kind, strings.TrimSpace(out)))
	}
	h.Run("ip", "link", "delete", name)
}

// Strict reports whether nothing may be missing: CI=true.
func Strict() bool { return os.Getenv("CI") == "true" }

// Missing ends a test for want of something that could be installed or given.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if Strict() {
		t.Fatalf(format, args...)
		return
	}
	t.Skipf(format, args...)
}
