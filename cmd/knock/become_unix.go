//go:build !windows

package main

import (
	"fmt"
	"os"
	"syscall"
)

// become replaces this process by a program, which so keeps the terminal.
func (s system) become(path string, argv []string) int {
	err := syscall.Exec(path, argv, os.Environ())
	return s.exit(fmt.Errorf("run %s: %w", path, err))
}
