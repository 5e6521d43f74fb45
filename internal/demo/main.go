package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideEnv marks the process that is in the namespaces already.
const insideEnv = "KNOCKD_DEMO_INSIDE"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demo DIRECTORY-OF-THE-COMMANDS")
		os.Exit(2)
	}
	err := run(os.Args[1])
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // the inner process has said why
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(bin string) error {
	if os.Getenv(insideEnv) == "" {
		return enter()
	}
	return show(bin)
}

// enter runs the program again in network namespaces of its own. Who may not
// make and configure them becomes root of a user namespace, where the kernel
// allows it.
func enter() error {
	inner := exec.Command("/proc/self/exe", os.Args[1:]...)
	inner.Env = append(os.Environ(), insideEnv+"=1")
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if !mayConfigure() {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	inner.SysProcAttr = attr
	err := inner.Run()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("make private namespaces: %w\ndemo: hint: %s", err, hint(os.Geteuid(), os.Args))
	}
	return err
}

// hint says who may make namespaces here. sudo finds no Go where people keep
// it, so that it is given what was built.
func hint(uid int, args []string) string {
	if uid == 0 {
		return "this container lets nobody do that: it needs CAP_SYS_ADMIN and CAP_NET_ADMIN"
	}
	return "this machine does not let users do that: sudo " + strings.Join(args, " ")
}

// mayConfigure reports whether network namespaces can be made and configured
// without a user namespace.
func mayConfigure() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if unix.Capget(&header, &has[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN
	return has[0].Effective&need == need
}
