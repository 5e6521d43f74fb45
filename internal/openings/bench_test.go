package openings

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"knockd/internal/knock"
)

// idleShell has every command end at once.
type idleShell struct{ started chan struct{} }

func (s idleShell) Run(context.Context, string, []string, time.Duration) (int, error) {
	if s.started != nil {
		s.started <- struct{}{}
	}
	return 0, nil
}

// benchOpenings is as many openings of one door as can be held.
const benchOpenings = MaxWaiting / 2

func benchOpening(i int) knock.Opening {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	v := knock.Vars{IP: addr.String(), Door: "ssh"}
	return knock.Opening{
		Door: knock.DoorID{Name: "ssh"}, Addr: addr, Vars: v, Timeout: time.Hour, Action: "command",
		Args: knock.Arguments{Start: v.Expand("/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"),
			Stop: v.Expand("/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT")},
	}
}

// BenchmarkPending holds 10,000 openings, with and without a journal: memory
// and time for each.
func BenchmarkPending(b *testing.B) {
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprintf("journal=%v", journal), func(b *testing.B) {
			var bytes, disk uint64
			for b.Loop() {
				o := Options{Actions: withShell(nil, idleShell{}), Log: discard{}}
				dir := b.TempDir()
				if journal {
					o.Journal = mustOpen(b, dir, "boot")
				}
				m := New(o)
				before := heapInUse()
				for i := range benchOpenings {
					m.Open(benchOpening(i), nil)
				}
				for settled := false; !settled; {
					m.mu.Lock()
					settled = len(m.s.timers) == benchOpenings
					m.mu.Unlock()
					runtime.Gosched()
				}
				b.StopTimer()
				bytes += heapInUse() - before
				if st, err := os.Stat(filepath.Join(dir, "test.journal")); err == nil {
					disk += uint64(st.Size())
				}
				m.Shutdown(b.Context())
				if journal {
					o.Journal.(journalOfBoot).Close()
				}
				b.StartTimer()
			}
			per := float64(b.N) * benchOpenings
			b.ReportMetric(float64(bytes)/per, "B/opening")
			b.ReportMetric(float64(disk)/per, "diskB/opening")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/per, "ns/opening")
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkLatency is the time from Open to the start command's beginning.
func BenchmarkLatency(b *testing.B) {
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprintf("journal=%v", journal), func(b *testing.B) {
			shell := idleShell{make(chan struct{})}
			o := Options{Actions: withShell(nil, shell), Log: discard{}}
			if journal {
				o.Journal = mustOpen(b, b.TempDir(), "boot")
				defer o.Journal.(journalOfBoot).Close()
			}
			m := New(o)
			op := benchOpening(1)
			op.Timeout = 0
			var latency time.Duration
			for b.Loop() {
				begin := time.Now()
				m.Open(op, nil)
				<-shell.started
				latency += time.Since(begin)
				<-shell.started // its stop
			}
			b.ReportMetric(float64(latency.Nanoseconds())/float64(b.N), "ns/start")
			go func() {
				for range shell.started {
				}
			}()
			m.Shutdown(b.Context())
			close(shell.started)
		})
	}
}

// BenchmarkJournal is what an opening's records cost, many at once.
func BenchmarkJournal(b *testing.B) {
	j := mustOpen(b, b.TempDir(), "boot")
	defer j.Close()
	var mu sync.Mutex
	id := uint64(0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			id++
			n := id
			mu.Unlock()
			o := benchOpening(int(n))
			j.Begin(n, o)
			j.Opened(n)
			j.Stopping(n)
			j.Ended(n)
		}
	})
}
