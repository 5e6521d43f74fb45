package ruleset

import "context"

// Backend is a firewall that doors are compiled for. Another one is a file of
// its own and a line in Backends.
type Backend interface {
	Name() string
	// Check refuses options that mean nothing to it.
	Check(Options) error
	// Compile returns the ruleset's text and what its reader ought to know, a
	// sentence each. The error names every door and key that it cannot do.
	Compile([]*Door, Options) (text []byte, notes []string, err error)
	// Load checks a text and puts it into the kernel, in place of an older one.
	// What becomes of both happens in one transaction.
	Load(ctx context.Context, h Host, opt Options, text string) error
	// Remove takes out what Load has put in, if there is anything.
	Remove(ctx context.Context, h Host, opt Options) (found bool, err error)
}

// Backends returns all of them.
func Backends() []Backend { return []Backend{nftables{}, iptables{}} }

// Host is where a ruleset is loaded.
type Host struct {
	Run Runner
	Say func(text string) // what whoever loads it ought to know
}

// Runner runs a program to its end, with a text on its standard input, and
// returns what it printed on standard output.
type Runner func(ctx context.Context, stdin []byte, name string, args ...string) (string, error)

// hintError is an error and what to do about it.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Hint says what to do.
func (e *hintError) Hint() string { return e.hint }
