package main

import (
	"context"
	"io"
	"net"
	"os/exec"
	"testing"

	"knockd/internal/nettest"
)

// BenchmarkBulk moves a gigabyte over ssh's own connection and over knock
// proxy, in each direction. It is run by hand:
//
//	go test -run '^$' -bench Bulk -benchtime 3x ./cmd/knock
func BenchmarkBulk(b *testing.B) {
	cli, srv := nettest.Pair(b)
	l := newLogin(b, cli, srv)
	l.write(".config/knock/config", profileText)
	const size = "1024"
	for _, form := range []struct{ name, lines string }{
		{"plain", "Host door\n HostName 10.7.0.2\n"},
		{"proxy", "Host door\n HostName 10.7.0.2\n ProxyCommand " + self(b) + " proxy --profile %n %h %p\n"},
		{"fdpass", "Host door\n HostName 10.7.0.2\n ProxyUseFdpass yes\n ProxyCommand " + self(b) + " proxy --fdpass --profile %n %h %p\n"},
	} {
		for _, way := range []struct{ name, shell string }{
			{"down", "ssh -F ssh_config door 'head -c " + size + "M /dev/zero' >/dev/null"},
			{"up", "head -c " + size + "M /dev/zero | ssh -F ssh_config door 'cat >/dev/null'"},
		} {
			b.Run(form.name+"/"+way.name, func(b *testing.B) {
				l.sshConfig(form.lines)
				b.SetBytes(1 << 30)
				for b.Loop() {
					if got := l.run("sh", "-c", way.shell); got.code != 0 {
						b.Fatalf("%+v", got)
					}
				}
			})
		}
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
