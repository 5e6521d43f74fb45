package offline

import (
	"os"
	"runtime"
	"runtime/debug"

	"knockd/internal/config"
	"knockd/internal/knock"
)

// Bounds of the memory that the reading of a capture takes.
const (
	// garbagePercent is the garbage, in percent of what is in use, that may pile up
	// where that may be much: by the configuration, or by what is told.
	garbagePercent = 30
	// memoryLimit is how much may pile up, in all, where one needs little: the rest
	// of 64 MiB is the program's own.
	memoryLimit = 46 << 20
	// usedByFew is what is in use then, before the first packet.
	usedByFew = 8 << 20
)

// BoundMemory bounds what the process takes to read a capture, unless the
// environment does, as Go's runtime reads it. The less is collected, the faster it
// is; but near a limit in octets the collector would work without end. Explaining:
// stories are kept.
func BoundMemory(conf *config.Config, explaining bool) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	if explaining || now.HeapAlloc > usedByFew || conf.MaxAttempts > knock.DefaultMaxAttempts {
		debug.SetGCPercent(garbagePercent)
		return
	}
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(memoryLimit)
}
