// Package openings keeps the openings of doors: runs the start command, waits,
// and runs the stop command that belongs to it.
//
// What happens when is decided by a plain value, schedule, into which time and
// results go and out of which actions come. The Manager carries its actions
// out with bounded workers; Dry only says what they would have been.
package openings
