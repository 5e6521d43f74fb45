package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
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

// enter runs the program again in network namespaces of its own. Who is not
// root becomes root of a user namespace, where the kernel allows it.
func enter() error {
	inner := exec.Command("/proc/self/exe", os.Args[1:]...)
	inner.Env = append(os.Environ(), insideEnv+"=1")
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	inner.SysProcAttr = attr
	err := inner.Run()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("make private namespaces: %w\ndemo: hint: this machine does not let users do that: sudo make demo", err)
	}
	return err
}
