package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"knockd/internal/cli"
	"knockd/internal/config"
)

func speaker(w io.Writer) cli.Speaker { return cli.Speaker{Command: "knockd", W: w} }

// warn prints warnings, a line each, and counts them.
func (o *options) warn(w io.Writer, texts ...string) {
	for _, text := range texts {
		speaker(w).Warn(text, "")
		o.warnings++
	}
}

// printError prints an error. The faults of a configuration stand by themselves,
// one a line.
func printError(w io.Writer, err error) {
	var faults *config.FaultError
	if errors.As(err, &faults) {
		fmt.Fprintln(w, strings.TrimRight(faults.Error(), "\n"))
		return
	}
	if fault := (*config.Fault)(nil); errors.As(err, &fault) { // in a file that the configuration names
		fmt.Fprintln(w, err)
		return
	}
	speaker(w).Say(err.Error(), cli.HintOf(err))
}
