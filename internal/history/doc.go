// Package history remembers who was let in: which door was open for whom, from
// when to when, and by what; in memory and, if it is told to, in a file.
//
// It takes events and never makes whoever tells them wait. Memory, file and
// what is written in an hour are bounded by one size. When there is no more
// room, the door that has most gives up its oldest visit, so that who knows one
// door takes nobody's past away but that door's.
package history
