// Package engine decides: it takes hits and messages and says what they lead to,
// which doors open, which openings end, and what happened. It acts on nothing
// itself: no goroutine, clock or log is here, and no file is touched but by
// Prepare and Check, before the first packet.
package engine
