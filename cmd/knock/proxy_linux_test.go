package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// commandTime bounds a command of a test.
const commandTime = time.Minute

// TestProxyHalfClose ends one direction while the other goes on.
func TestProxyHalfClose(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	got := make(chan string, 2)
	// Answers when it has heard all.
	listen(t, srv, nettest.Server4+":1001", func(c net.Conn) {
		text, _ := io.ReadAll(c)
		fmt.Fprintf(c, "heard %s", text)
		c.Close()
	})
	// Says all at once, and goes on listening.
	listen(t, srv, nettest.Server4+":1002", func(c net.Conn) {
		fmt.Fprint(c, "said")
		c.(*net.TCPConn).CloseWrite()
		text, _ := io.ReadAll(c)
		got <- string(text)
		c.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()

	first := command(ctx, "proxy", "--sequence-file", "/dev/fd/3", nettest.Server4, "1001")
	first.ExtraFiles = append(first.ExtraFiles, fileWith(t, "1 2\n"))
	first.Stdin = strings.NewReader("question")
	if r := finish(t, cli, first); r.code != 0 || r.stdout != "heard question" || r.stderr != "" {
		t.Errorf("%+v", r)
	}

	second := command(ctx, "proxy", "--sequence-file", "/dev/fd/3", nettest.Server4, "1002")
	second.ExtraFiles = append(second.ExtraFiles, fileWith(t, "1 2\n"))
	in, err := second.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := second.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cli.Start(second); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(out); string(text) != "said" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	// The output has ended; the input has not.
	fmt.Fprint(in, "still ")
	fmt.Fprint(in, "here")
	in.Close()
	if text := <-got; text != "still here" {
		t.Errorf("the server heard %q", text)
	}
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
}

// TestProxyErrors: nothing but the connection's data is on standard output.
func TestProxyErrors(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	srv.EchoTCP(nettest.Server4 + ":22")
	const usage = "knock: hint: write: knock proxy [--profile NAME] HOST PORT\n"
	for args, want := range map[string]string{
		"proxy":       "1 knock: proxy takes a host and a port\n" + usage,
		"proxy a b c": "1 knock: proxy takes a host and a port\n" + usage,
		"proxy --sequence-file /dev/null 10.7.0.2 22": "1 knock: sequence file /dev/null: the sequence is empty\n" +
			"knock: hint: write ports such as 7000 8000:udp 9000, separated by blanks, commas or line ends\n",
		"proxy 10.7.0.2 ssh": "1 knock: no sequence for 10.7.0.2\nknock: hint: name the ports, or write a section [10.7.0.2] with a sequence into /nonexistent/.config/knock/config (knock(1), PROFILES)\n",
		"proxy -v --sequence-file - --fdpass 10.7.0.2 22": "1 hitting tcp 10.7.0.2:1\ntcp 10.7.0.2:22 open after T\n" +
			"knock: pass connection: socket operation on non-socket\nknock: hint: --fdpass is for ssh with ProxyUseFdpass yes\n",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		cmd := command(ctx, strings.Fields(args)...)
		cmd.Stdin = strings.NewReader("1")
		got := finish(t, cli, cmd)
		cancel()
		text := fmt.Sprint(got.code, " ", timePattern.ReplaceAllString(got.stderr, "after T"))
		if text != want || got.stdout != "" {
			t.Errorf("knock %s: %s\n%s\nwant %s", args, got.stdout, text, want)
		}
	}
}
