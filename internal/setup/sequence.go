package setup

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// steps is how many a proposed sequence has.
const steps = 4

// enough is how many ports there must be to choose from, so that a sequence is
// one of a thousand million.
const enough = 256

// scanned are the TCP ports that nmap tries by default, which it prints with
// nmap --top-ports 1000 -v -oG -
//
//go:embed nmap-top-1000.txt
var scannedText string

var scanned = func() (ports []knock.PortRange) {
	for word := range strings.SplitSeq(strings.TrimSpace(scannedText), ",") {
		r, err := knock.ParsePortRange(word)
		if err != nil {
			panic(err)
		}
		ports = append(ports, r)
	}
	return ports
}()

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
		ports := make([]uint16, steps)
		for i := range ports {
			n, err := rand.Int(random, big.NewInt(int64(len(pool))))
			if err != nil {
				return nil, fmt.Errorf("choose a sequence: %w", err)
			}
			ports[i] = pool[n.Int64()]
		}
		if !apart(ports) || slices.IsSorted(ports) || slices.IsSortedFunc(ports, func(a, b uint16) int { return int(b) - int(a) }) {
			continue
		}
		seq := make([]knock.Step, steps)
		for i, p := range ports {
			seq[i] = knock.Step{Proto: knock.TCP, Port: p}
		}
		return seq, nil
	}
	return nil, errors.New("choose a sequence: the source of random numbers does not work")
}

// apart reports whether no two ports are equal or neighbours.
func apart(ports []uint16) bool {
	sorted := slices.Sorted(slices.Values(ports))
	for i := 1; i < len(sorted); i++ {
		if sorted[i]-sorted[i-1] < 2 {
			return false
		}
	}
	return true
}

// poolOf are the ports from the first on that are not taken.
func poolOf(first int, taken []knock.PortRange) (pool []uint16) {
	var isTaken [1 << 16]bool
	for _, r := range slices.Concat(taken, scanned) {
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
