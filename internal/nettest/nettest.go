package nettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Host is a network namespace with loopback up. Its methods may be called
// from any goroutine.
type Host struct {
	// Name stands in messages only.
	Name string

	t     testing.TB
	ns    *os.File
	mu    sync.Mutex
	procs []*exec.Cmd // started and to be killed with the test
}

// NewHost makes a host that lives until the test ends. Without the privilege
// to do so the test is skipped, or fails if CI=true.
func NewHost(t testing.TB, name string) *Host {
	t.Helper()
	NeedRoot(t)
	NeedProgram(t, "ip")
	ns, err := newNamespace()
	if err != nil {
		t.Fatalf("nettest: make namespace for %s: %v", name, err)
	}
	h := &Host{Name: name, t: t, ns: ns}
	t.Cleanup(h.close)
	// Duplicate address detection would make each new address wait a second.
	h.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	h.Run("ip", "link", "set", "lo", "up")
	return h
}

// close ends what still runs in the host, whoever started it there, and lets
// go of its namespace.
func (h *Host) close() {
	h.mu.Lock()
	procs := h.procs
	h.procs = nil
	h.mu.Unlock()
	for _, p := range procs {
		// Where the process was waited for, its number may be another's by
		// now. Cmd.Wait is left to whoever started it.
		if p.Process.Signal(syscall.Signal(0)) == nil {
			syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
			p.Process.Wait()
		}
	}
	// A process that is being killed may have started one more.
	for tries := 0; tries < 10 && killIn(h.ns) > 0; tries++ {
		time.Sleep(time.Millisecond)
	}
	h.ns.Close()
}

// Path returns a file name by which other programs find the namespace for as
// long as this process lives.
func (h *Host) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.ns.Fd())
}

// Do runs f on a thread that is in the host. Sockets and processes that f
// makes belong to the host; goroutines that it starts do not.
func (h *Host) Do(f func() error) error {
	return inNamespace(h.ns, f)
}

// Start starts a command in the host, in a process group of its own. If it
// still runs when the test ends, the group is killed.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := h.Do(cmd.Start); err != nil {
		return err
	}
	h.mu.Lock()
	h.procs = append(h.procs, cmd)
	h.mu.Unlock()
	return nil
}

// commandTime bounds a command given to Try and Run.
const commandTime = 60 * time.Second

// Try runs a command in the host to its end and returns what it printed on
// standard output and standard error.
func (h *Host) Try(name string, args ...string) (string, error) {
	path, err := FindProgram(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// A child that keeps the pipe open must not hold up the test.
	cmd.WaitDelay = time.Second
	if err := h.Start(cmd); err != nil {
		return "", err
	}
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.String(), err
}

// Run is Try for a command that must succeed, else the test ends.
func (h *Host) Run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.Try(name, args...)
	if err != nil {
		h.t.Fatalf("nettest: on %s: %s %s: %v\n%s", h.Name, name, strings.Join(args, " "), err, out)
	}
	return out
}

// Sysctl sets a value below /proc/sys, as far as the environment lets us:
// in some containers all of it is read-only.
func (h *Host) Sysctl(name, value string) error {
	return h.Do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
}

// Dial connects from the host to an address in numbers.
func (h *Host) Dial(network, address string, timeout time.Duration) (conn net.Conn, err error) {
	err = h.Do(func() (err error) {
		conn, err = net.DialTimeout(network, address, timeout)
		return err
	})
	return conn, err
}

// Reaches reports whether a TCP connection from the host to the address comes
// about within the time given.
func (h *Host) Reaches(address string, timeout time.Duration) bool {
	conn, err := h.Dial("tcp", address, timeout)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Send sends one UDP datagram from the host.
func (h *Host) Send(address string, payload []byte) error {
	conn, err := h.Dial("udp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(payload)
	return err
}
