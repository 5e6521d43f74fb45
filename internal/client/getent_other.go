//go:build !linux

package client

import (
	"context"
	"net/netip"
)

// askSystem asks nobody: on these systems Go's resolver answers.
func askSystem(context.Context, string) []netip.Addr { return nil }
