package knock

import (
	"fmt"
	"testing"
)

// TestScanned: nmap's list, and which ports it tries one after the other.
func TestScanned(t *testing.T) {
	ports, pairs := 0, 0
	for _, r := range Scanned() {
		ports += r.Len()
		for p := r.First; p <= r.Last; p++ {
			if nextScanned(p) != 0 {
				pairs++
			}
		}
	}
	if ports != 1000 || pairs != 999 {
		t.Errorf("%d ports, %d steps between them", ports, pairs)
	}
	for port, want := range map[uint16]uint16{1: 3, 3: 4, 22: 23, 7002: 7004, 65129: 65389, 65389: 0, 2: 0, 7003: 0, 65535: 0} {
		if got := nextScanned(port); got != want {
			t.Errorf("after %d: %d, want %d", port, got, want)
		}
	}
}

func TestScanOrder(t *testing.T) {
	for text, want := range map[string]string{
		"1,2,3": "true false", "3,2,1": "false true", "1,3,2": "false false", "1,1,2": "false false", "7": "true true",
		"1,2:udp,3": "false false", "1:udp,2:udp": "true false", "1,*,3": "false false",
	} {
		steps, err := ParseSequence(text, true)
		if err != nil {
			t.Fatal(err)
		}
		if rises, falls := ScanOrder(steps); fmt.Sprint(rises, falls) != want {
			t.Errorf("%s: %v, %v; want %s", text, rises, falls, want)
		}
	}
}
