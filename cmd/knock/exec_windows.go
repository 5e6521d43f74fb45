package main

import (
	"errors"
	"fmt"
	"os/exec"
)

// execProgram runs a program in this one's place and returns its exit status.
func (s system) execProgram(path string, argv []string) int {
	cmd := exec.Command(path, argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.stdin, s.stdout, s.stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitOpen
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return s.exit(fmt.Errorf("run %s: %w", path, err))
}
