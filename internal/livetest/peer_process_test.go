package livetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat (sysconf(_SC_CLK_TCK), 100 a
// second on every Linux).
const clockTick = 10 * time.Millisecond

// cpuOf returns the CPU time that a process has used, that of its children
// that have ended included. See proc(5); schedstat counts nanoseconds.
func cpuOf(pid int) (total time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, name := range tasks {
		var ns int64
		text, _ := os.ReadFile(name)
		fmt.Sscan(string(text), &ns)
		total += time.Duration(ns)
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return total
	}
	for _, field := range fields[13:15] { // cutime, cstime
		n, _ := strconv.Atoi(field)
		total += time.Duration(n) * clockTick
	}
	return total
}

// memoryOf returns a line of /proc/PID/status in MiB: VmRSS, or VmHWM, its
// highest value so far.
func memoryOf(pid int, what string) float64 {
	var kib float64
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib / 1024
}

// countIn counts a text in a file; none counts as empty.
func countIn(name, text string) int {
	data, _ := os.ReadFile(name)
	return bytes.Count(data, []byte(text))
}

// settled waits until a process has nothing to do, at most for a while.
func settled(pid int, within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); {
		before := cpuOf(pid)
		time.Sleep(200 * time.Millisecond)
		if cpuOf(pid)-before < time.Millisecond {
			return
		}
	}
}

func median[T int | float64 | time.Duration](list []T) T {
	if len(list) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
