package setup

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"knockd/internal/knock"
)

// steps is how many a proposed sequence has.
const steps = 4

// enough is how many ports there must be to choose from, so that a sequence is
// one of a thousand million.
const enough = 256

// sequence picks the steps of a door at random: TCP ports that only rise or
// only fall nowhere from the first to the last, of which no two are equal or
// neighbours, and none is among those taken. Random is crypto/rand.Reader but in
// tests.
func sequence(random io.Reader, taken []knock.PortRange) ([]knock.Step, error) {
	pool := poolOf(1024, taken)
	if len(pool) < enough {
		pool = append(pool, poolOf(1, taken)...)
		slices.Sort(pool)
		pool = slices.Compact(pool)
	}
	if len(pool) < enough {
		return nil, fmt.Errorf("only %d ports are left to choose a sequence from", len(pool))
	}
	for range 1000 {
		seq := make([]knock.Step, steps)
		for i := range seq {
			n, err := rand.Int(random, big.NewInt(int64(len(pool))))
			if err != nil {
				return nil, fmt.Errorf("choose a sequence: %w", err)
			}
			seq[i] = knock.Step{Proto: knock.TCP, Port: pool[n.Int64()]}
		}
		if rises, falls := knock.ScanOrder(seq); apart(seq) && !rises && !falls {
			return seq, nil
		}
	}
	return nil, errors.New("choose a sequence: the source of random numbers does not work")
}

// apart reports whether no two ports are equal or neighbours.
func apart(seq []knock.Step) bool {
	sorted := slices.SortedFunc(slices.Values(seq), func(a, b knock.Step) int { return cmp.Compare(a.Port, b.Port) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Port-sorted[i-1].Port < 2 {
			return false
		}
	}
	return true
}

// poolOf returns the ports from the first on that are neither taken nor tried
// first by a port scan.
func poolOf(first int, taken []knock.PortRange) (pool []uint16) {
	var isTaken [1 << 16]bool
	for _, r := range slices.Concat(taken, knock.Scanned()) {
		for p := int(r.First); p <= int(r.Last); p++ {
			isTaken[p] = true
		}
	}
	for p := first; p < 1<<16; p++ {
		if !isTaken[p] {
			pool = append(pool, uint16(p))
		}
	}
	return pool
}
