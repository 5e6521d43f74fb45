package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// garbagePercent is the garbage, in percent of what is in use, that may pile
// up: a full table of attempts, or the reading of 10,000 doors, stays below 64
// MiB. There is no limit in octets: near one, ten thousand openings held would
// have the collector work without end.
const garbagePercent = 40

// spareMemory bounds garbage, unless the environment's GOGC does, as Go's
// runtime reads it.
func spareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// How many goroutines run at a time. One of them decides on one packet after
// the other, and more threads would only wake each other, three times the work
// in a flood; what blocks has a thread of its own. A large configuration is
// collected after while it is read.
const (
	reading = 2
	serving = 1
)

// atMostThreads bounds them, unless the environment's GOMAXPROCS does.
func atMostThreads(n int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(n, runtime.NumCPU()))
	}
}
