package replaycache

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkUse is the time from a token to the disk, alone and with others.
func BenchmarkUse(b *testing.B) {
	for name, parallel := range map[string]int{"alone": 0, "together": 32} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "store"), age, noon)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var n atomic.Int64
			use := func() {
				i := n.Add(1)
				now := noon.Add(time.Duration(i) * time.Second)
				if err := s.Use(token(int(i)), now.Add(time.Second), now); err != nil {
					b.Error(err)
				}
			}
			if parallel == 0 {
				for b.Loop() {
					use()
				}
				return
			}
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					use()
				}
			})
		})
	}
}
