// Package config reads knockd.conf: text in, a checked Config out, or every
// fault of the file at once, each with its place and the rule it breaks.
// Every key of knockd 0.8 means what it meant there. What knockd 0.8 refuses
// is refused here too, so that a file that works here works there; what it
// takes although it can never work (a port "ssh", which becomes port 0) is a
// fault here, because a door that silently never opens is worse than a daemon
// that says why.
package config
