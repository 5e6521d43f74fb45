//go:build noshell

package check

// parseScript reads nothing of a command: the parser of shells takes a quarter of a
// megabyte, which a router may need for something else.
func parseScript(string) (*script, error) { return &script{}, nil }
