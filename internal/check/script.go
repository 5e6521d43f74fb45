package check

// call is a simple command of what a door runs: a program and its arguments.
type call struct {
	words []word
}

// word is one as the program gets it, as far as that can be known before the
// shell runs.
type word struct {
	text  string
	fixed bool // it holds nothing that the shell makes up
}

// script is a command as /bin/sh reads it.
type script struct {
	calls     []call
	functions map[string]bool // defined in it
}
