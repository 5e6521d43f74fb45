//go:build !linux && !darwin

package client

import (
	"errors"
	"fmt"
)

// bindInterface reports that the system has no such thing.
func bindInterface(_ uintptr, _, name string) error {
	return fmt.Errorf("interface %s: choosing it: %w", name, errors.ErrUnsupported)
}
