package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// readingPercent is the garbage, in percent of what is in use, that may
	// pile up while the configuration is read: 10,000 doors stay below 64 MiB.
	readingPercent = 40
	// servingPercent is the same for later, as far as the limit allows: what a
	// packet leaves behind is little, and collecting costs as much as a
	// thousand packets.
	servingPercent = 100
	// leastSlack is the room for garbage, in octets, whatever is in use.
	leastSlack = 8 << 20
	// attemptSize is what one more attempt takes, in octets (internal/knock).
	attemptSize = 64
)

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

// ownLimits says that the environment sets the collector's, as Go's runtime
// reads them.
func ownLimits() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// spareReading keeps memory small while a configuration is read.
func spareReading() {
	if !ownLimits() {
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(readingPercent)
	}
}

// settleMemory gives back what reading took, and bounds what is to come: a
// full table of attempts and some garbage.
func settleMemory(maxAttempts int) {
	debug.FreeOSMemory()
	if ownLimits() {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	use := int64(m.Sys-m.HeapReleased) + int64(maxAttempts)*attemptSize
	debug.SetMemoryLimit(use + max(leastSlack, use*readingPercent/100))
	debug.SetGCPercent(servingPercent)
}
