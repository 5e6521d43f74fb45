// Package onetime reads and marks files of one-time sequences, in knockd 0.8's
// format: a sequence on each line, and a line whose first character is # is
// used, or a comment. Daemon and client share it.
package onetime
