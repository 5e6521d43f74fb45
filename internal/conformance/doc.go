// Package conformance is for tests alone: it says what knockd 0.8 decides.
// It holds a model of it, runs the installed one on recorded packets, makes
// random configurations and packets for both, and reduces logs to decisions.
package conformance
