// Package setup looks at a host and proposes a first door for it: the
// configuration, what its knockers need, and what the host's firewall lacks.
//
// It changes nothing. What it has seen is a value, a Host; what comes of it is a
// Plan, made without a look at anything else.
package setup
