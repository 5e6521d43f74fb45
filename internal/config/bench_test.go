package config

import (
	"fmt"
	"strings"
	"testing"
)

// doorsText is a file of n doors with six keys each.
func doorsText(n int) []byte {
	var b strings.Builder
	b.WriteString("[options]\n\tUseSyslog\n")
	for i := range n {
		fmt.Fprintf(&b, "\n# door %d\n[door%d]\n\tsequence = %d,%d:udp,%d\n\tseq_timeout = 5\n\ttcpflags = syn,!ack\n"+
			"\tstart_command = /sbin/iptables -A INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n\tcmd_timeout = 10\n"+
			"\tstop_command = /sbin/iptables -D INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n",
			i, i, 1+i%65000, 1+i*7%65000, 1+i*11%65000)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		src := doorsText(n)
		b.Run(fmt.Sprintf("doors=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if c, err := Parse("k.conf", src); err != nil || len(c.Doors) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLongSection reads lines of one section.
func BenchmarkLongSection(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		src := []byte("[a]\nsequence = 1\n" + strings.Repeat("tcpflags = syn\n", n))
		b.Run(fmt.Sprintf("lines=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if _, err := Parse("k.conf", src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
