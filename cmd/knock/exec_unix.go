//go:build !windows

package main

import (
	"fmt"
	"os"
	"syscall"
)

// execProgram replaces this process by a program, which so keeps the terminal.
func (s system) execProgram(path string, argv []string) int {
	err := syscall.Exec(path, argv, os.Environ())
	return s.exit(fmt.Errorf("run %s: %w", path, err))
}
