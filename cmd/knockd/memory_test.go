package main

import (
	"os"
	"path/filepath"
	"testing"

	"knockd/internal/daemon"
)

func TestMemoryOfGroups(t *testing.T) {
	mount := t.TempDir()
	for name, text := range map[string]string{
		"a/b/memory.max": "67108864\n", "a/b/memory.high": "max\n",
		"a/memory.max": "33554432\n", "a/memory.high": "max\n",
		"a/high/memory.max": "max\n", "a/high/memory.high": "16777216\n",
		"free/memory.max":                  "max\n",
		"memory/x/y/memory.limit_in_bytes": "9223372036854771712\n",
		"memory/x/memory.limit_in_bytes":   "50331648\n",
		"memory/memory.limit_in_bytes":     "9223372036854771712\n",
		"odd/memory.max":                   "-1\n", "odd/memory.high": "junk\n",
	} {
		name = filepath.Join(mount, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const none = 1<<63 - 1
	for groups, want := range map[string]memory{
		"0::/a\n":                           32 << 20,
		"0::/a/b\n":                         32 << 20, // the group above has less
		"0::/a/high\n":                      16 << 20,
		"0::/a/b/deeper\n":                  32 << 20,
		"0::/free\n":                        none,
		"4:memory:/x/y\n1:cpu:/a\n0::/\n":   48 << 20,
		"4:memory:/x/y\n0::/a\n":            32 << 20,
		"4:memory:/docker/0123456789abcd\n": none &^ 0xfff, // version 1 has no word for it
		"0::/odd\n":                         none,
		"":                                  none,
	} {
		if got := memoryOf(mount, groups); got != want {
			t.Errorf("%q: %d, want %d", groups, got, want)
		}
	}
}

// TestLimits: what is held fits the memory, and half of it is left for what
// runs; from 512 MiB on nothing has less than its usual limit.
func TestLimits(t *testing.T) {
	for m, want := range map[memory]struct {
		attempts int
		daemon.Limits
	}{
		0:          {8, daemon.Limits{Openings: 1, Ring: 512}},
		16 << 20:   {16384, daemon.Limits{Openings: 1025, Ring: 1 << 20}},
		28_400_000: {32768, daemon.Limits{Openings: 1734, Ring: 1 << 20}}, // what a system sees of 32 MiB
		32 << 20:   {32768, daemon.Limits{Openings: 2049, Ring: 2 << 20}},
		64 << 20:   {65536, daemon.Limits{Openings: 4097, Ring: 4 << 20}},
		128 << 20:  {131072, daemon.Limits{Openings: 8193, Ring: 4 << 20}},
		512 << 20:  {262144, daemon.Limits{Openings: 20000, Ring: 4 << 20}},
		1 << 40:    {262144, daemon.Limits{Openings: 20000, Ring: 4 << 20}},
		1<<63 - 1:  {262144, daemon.Limits{Openings: 20000, Ring: 4 << 20}},
	} {
		attempts, got := m.attempts(), m.limits()
		if attempts != want.attempts || got != want.Limits {
			t.Errorf("%d octets: %d attempts, %+v, want %+v", m, attempts, got, want)
		}
		held := memory(attempts)*attemptSize + memory(got.Openings)*openingSize + 2*memory(got.Ring)
		if m >= 16<<20 && held > m/2 {
			t.Errorf("%d octets: %d held", m, held)
		}
	}
	for m, want := range map[memory]int64{0: 8 << 20, 32 << 20: 16 << 20, 1<<63 - 1: 1<<62 - 1} {
		if got := m.goLimit(); got != want {
			t.Errorf("%d octets: Go's limit is %d, want %d", m, got, want)
		}
	}
	if m := memoryHere(); m < 1<<20 || m > 1<<60 {
		t.Errorf("%d octets here", m)
	}
}
