package main

import (
	"fmt"
	"strings"

	"knockd/internal/config"
)

// checkInterfaces reads the names that -i gives.
func (o *options) checkInterfaces() error {
	if o.flags.Changed("interface") {
		names, err := config.ParseInterfaces(strings.Join(o.interfaces, ","))
		if err != nil {
			return fmt.Errorf("-i: %w", err)
		}
		o.interfaces = names
	}
	return nil
}
