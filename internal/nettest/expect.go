package nettest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Load gives the host rules in nft's language.
func (h *Host) Load(rules string) {
	h.t.Helper()
	NeedProgram(h.t, "nft")
	file := filepath.Join(h.t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.Run("nft", "-f", file)
}

// MustReach fails the test unless the host gets through to an address.
func (h *Host) MustReach(address string) {
	h.t.Helper()
	if !h.Reaches(address, Patience) {
		h.t.Errorf("%s cannot be reached", address)
	}
}

// MustNotReach fails the test if the host gets through to an address.
func (h *Host) MustNotReach(address string) {
	h.t.Helper()
	if h.Reaches(address, Moment) {
		h.t.Errorf("%s can be reached", address)
	}
}

// How long to wait for what must come, and for what must not.
const (
	Patience = 30 * time.Second
	Moment   = 300 * time.Millisecond
)

// Both returns a port at both addresses of the server of a Pair.
func Both(port string) []string {
	return []string{net.JoinHostPort(Server4, port), net.JoinHostPort(Server6, port)}
}

// Eventually waits for a condition, and fails the test if it takes too long.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", Patience, what)
}

// MustEcho fails the test unless what is written comes back.
func MustEcho(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(Patience))
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("echo: %q, %v", buf, err)
	}
}
