package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// BenchmarkBulk moves gigabytes over ssh's own connection and through knock
// proxy, in turn, in each direction, and reports the medians and what percent
// of the plain one they are: over a link of 2 Gbit/s, and as fast as the
// processors of this machine, which does the work of both ends, are. It is run
// by hand, with the machine for itself:
//
//	go test -run '^$' -bench Bulk -benchtime 5x -timeout 1h ./cmd/knock
func BenchmarkBulk(b *testing.B) {
	cli, srv := nettest.Pair(b)
	for _, h := range []*nettest.Host{cli, srv} {
		// As with the congestion control of distributions there is no pacing,
		// whose timers cost a virtual machine as much as the transfer.
		h.Run("sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=reno")
	}
	l := newLogin(b, cli, srv)
	l.write(".config/knock/config", profileText)
	for _, link := range []string{"2gbit", "unlimited"} {
		for _, h := range []*nettest.Host{cli, srv} {
			if h.Try("tc", "qdisc", "del", "dev", "eth0", "root"); link != "unlimited" {
				h.Run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", link, "burst", "256kb", "latency", "20ms")
			}
		}
		b.Run(link+"/down", func(b *testing.B) {
			l.transfer(b, "ssh -F ssh_config door 'head -c %d /dev/zero' >/dev/null")
		})
		b.Run(link+"/up", func(b *testing.B) {
			l.transfer(b, "head -c %d /dev/zero | ssh -F ssh_config door 'cat >/dev/null'")
		})
	}
}

// transfer measures one direction; the shell's command takes a number of
// octets.
func (l *login) transfer(b *testing.B, shell string) {
	const octets = 2 << 30
	host := "Host door\n HostName 10.7.0.2\n"
	proxy := " ProxyCommand " + self(b) + " proxy --profile %n %h %p"
	forms := [...]struct{ name, lines string }{
		{"plain", host},
		{"proxy", host + proxy + "\n"},
		{"fdpass", host + proxy + " --fdpass\n ProxyUseFdpass yes\n"},
	}
	var rates [len(forms)][]float64
	for b.Loop() {
		for i, form := range forms {
			l.sshConfig(form.lines)
			began := time.Now()
			if got := l.run("sh", "-c", fmt.Sprintf(shell, int64(octets))); got.code != 0 {
				b.Fatalf("%+v", got)
			}
			rates[i] = append(rates[i], octets/1e6/time.Since(began).Seconds())
		}
	}
	var plain float64
	for i, form := range forms {
		slices.Sort(rates[i])
		b.Logf("%s, MB/s: %.0f", form.name, rates[i])
		median := rates[i][len(rates[i])/2]
		if i == 0 {
			plain = median
		}
		b.ReportMetric(median, form.name+"-MB/s")
		b.ReportMetric(100*median/plain, form.name+"-%")
	}
}

// BenchmarkRelay moves data without ssh, whose cryptography costs more than
// the carrying.
func BenchmarkRelay(b *testing.B) {
	cli, srv := nettest.Pair(b)
	var l net.Listener
	srv.Do(func() (err error) {
		l, err = net.Listen("tcp4", nettest.Server4+":1001")
		return err
	})
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
	for name, command := range map[string]func() *exec.Cmd{
		"nc": func() *exec.Cmd { return exec.Command("sh", "-c", "head -c 1024M /dev/zero | nc -N 10.7.0.2 1001") },
		"proxy": func() *exec.Cmd {
			cmd := command(context.Background(), "")
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "echo 1 >seq; head -c 1024M /dev/zero | " + self(b) + " proxy --sequence-file seq 10.7.0.2 1001"}
			cmd.Dir = b.TempDir()
			return cmd
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1 << 30)
			for b.Loop() {
				if got := finish(b, cli, command()); got.code != 0 {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}
