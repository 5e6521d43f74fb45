package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pipes are the ends of two pipes: what the relay gets, and what the test
// writes to and reads from. They stay open, as a program's standard files do.
func pipes(t *testing.T) (in, toIn, out, fromOut *os.File) {
	t.Helper()
	in, toIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromOut, out, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return in, toIn, out, fromOut
}

// TestRelayPipes carries single keys, then more than pipe and socket hold.
func TestRelayPipes(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) { io.Copy(c, c) })
	in, toIn, out, fromOut := pipes(t)
	done := make(chan error, 1)
	go func() { done <- Relay(t.Context(), conn, in, out) }()
	for _, key := range []byte("ls\r") {
		start := time.Now()
		toIn.Write([]byte{key})
		b := make([]byte, 10)
		if n, err := fromOut.Read(b); n != 1 || b[0] != key {
			t.Fatalf("%q, %v", b[:n], err)
		}
		t.Logf("echo after %v", time.Since(start))
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		toIn.Write(data)
		toIn.Close()
	}()
	got, err := io.ReadAll(fromOut)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d octets of %d came back, %v", len(got), len(data), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRelayPipesReset: the other side gives up.
func TestRelayPipesReset(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) {
		io.WriteString(c, "bye")
		io.ReadFull(c, make([]byte, 1000))
		c.SetLinger(0)
	})
	in, toIn, out, fromOut := pipes(t)
	done := make(chan error, 1)
	go func() { done <- Relay(t.Context(), conn, in, out) }()
	toIn.Write(make([]byte, 1000))
	if text, err := io.ReadAll(fromOut); string(text) != "bye" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	// The input is idle: the end of the connection suffices.
	if err := <-done; err == nil {
		t.Error("a reset is no error")
	}
}

// TestRelayPipesReaderGone: ssh may end before all is said to it.
func TestRelayPipesReaderGone(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) { io.Copy(c, endless{}) })
	in, _, out, fromOut := pipes(t)
	done := make(chan error, 1)
	go func() { done <- Relay(t.Context(), conn, in, out) }()
	io.ReadFull(fromOut, make([]byte, 10))
	fromOut.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRelayPipesEndWithContext: while both pipes are idle, and while the
// output is full.
func TestRelayPipesEndWithContext(t *testing.T) {
	for name, serving := range map[string]func(*net.TCPConn){
		"idle": func(c *net.TCPConn) { io.Copy(io.Discard, c) },
		"full": func(c *net.TCPConn) { io.Copy(c, endless{}) },
	} {
		conn := serve(t, serving)
		in, _, out, _ := pipes(t)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := Relay(ctx, conn, in, out); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
