// Package plan joins what the command line, the profile and .fwknoprc say into
// what to send to whom, and what to wait for. What the command line says wins.
package plan
