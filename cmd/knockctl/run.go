package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"knockd/internal/cli"
)

// execute is a ruleset.Runner. The error holds what the program complained of.
func execute(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", cli.WithHint(fmt.Errorf("%s: not installed", name), "install the package "+backends(" or "))
	case err != nil && complaint.Len() > 0:
		return "", fmt.Errorf("%s: %w\n%s", name, err, strings.TrimSpace(complaint.String()))
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}
