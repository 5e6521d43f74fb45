package main

import (
	"math"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"knockd/internal/capture"
	"knockd/internal/cgroup"
	"knockd/internal/daemon"
	"knockd/internal/knock"
	"knockd/internal/openings"
)

// garbagePercent is the garbage, in percent of what is in use, that may pile
// up: a full table of attempts, or the reading of 10,000 doors, stays below 64
// MiB.
const garbagePercent = 40

// spareMemory bounds garbage, unless the environment's GOGC and GOMEMLIMIT do,
// as Go's runtime reads them. The limit in octets is one that what memory.limits
// allows does not reach: near it the collector works without end.
func (m memory) spare() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(m.goLimit())
	}
}

// goLimit is the limit of Go's memory in octets: half, but no less than an idle
// daemon needs.
func (m memory) goLimit() int64 { return max(int64(m/2), 8<<20) }

// memory is how many octets of memory there are for this process.
type memory uint64

// memoryHere returns what the machine has, or less if a control group that we
// are in allows no more.
func memoryHere() memory {
	m := memory(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m = memory(info.Totalram) * memory(info.Unit)
	}
	return min(m, memoryOf(cgroup.Mount, cgroup.Own()))
}

// memoryOf returns the least that the control groups of a text like
// /proc/self/cgroup allow, by the groups' files below a directory: memory.max
// and, where they begin to be slowed down, memory.high; of version 1
// memory.limit_in_bytes.
func memoryOf(mount, groups string) memory {
	m := memory(math.MaxInt64)
	for dir := range cgroup.Dirs(mount, groups, "memory") {
		for _, name := range []string{"/memory.max", "/memory.high", "/memory.limit_in_bytes"} {
			text, err := os.ReadFile(dir + name)
			if err != nil {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63); err == nil {
				m = min(m, memory(n))
			}
		}
	}
	return m
}

// What things take in octets, at most: an attempt with its part of the table of
// sources, which has room for twice as many, rounded up to a power of two; an opening with its record for the journal, its element in the
// kernel and the garbage that it makes.
const (
	attemptSize = 80
	openingSize = 2 << 10
)

// eighth returns what attempts have of the memory, and openings, and packets
// that wait; the rest is for the program, what it reads and the system. Less
// than a kilobyte it is not.
func (m memory) eighth() memory { return max(m/8, 1<<10) }

// maxAttempts is how many attempts are held where the configuration names no
// number. It is the same as long as the process lives, so that nobody who reads
// the configuration again finds another one.
var maxAttempts = sync.OnceValue(func() int { return memoryHere().attempts() })

// attempts returns how many of them there is memory for: a power of two, which
// leaves no part of the table of sources unused.
func (m memory) attempts() int {
	return int(min(powerOfTwo(m.eighth()/attemptSize), knock.DefaultMaxAttempts))
}

// limits returns what else the memory allows. The ring may take twice as many
// octets as it is told (see capture.RingSize).
func (m memory) limits() daemon.Limits {
	eighth := m.eighth()
	return daemon.Limits{
		Openings: int(min(eighth/openingSize+1, openings.MaxWaiting)),
		Ring:     int(min(powerOfTwo(eighth/2), capture.RingSize)),
	}
}

// powerOfTwo returns the largest one that is not above m, which is not 0.
func powerOfTwo(m memory) memory { return 1 << (bits.Len64(uint64(m)) - 1) }

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
