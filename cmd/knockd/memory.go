package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
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

// spareThreads is how many threads are made before they are needed, for all that
// may block at once: files, the start of a command, the kernel's firewall.
const spareThreads = 12

// makeThreads makes them. The runtime keeps them, and so has some where no
// process can be made any more: without it would end us, with doors open.
func makeThreads() {
	var made, all sync.WaitGroup
	release := make(chan struct{})
	made.Add(spareThreads)
	for range spareThreads {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			made.Done()
			<-release
		})
	}
	made.Wait()
	close(release)
	all.Wait()
}
