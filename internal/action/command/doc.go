// Package command runs one shell command of a door: /bin/sh -c, in a process
// group of its own, bounded in time. What the command prints goes where the
// daemon's own standard output and error go, as with knockd 0.8.
package command
