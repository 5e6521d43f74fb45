package kernellog

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"github.com/florianl/go-nflog/v2"

	"knockd/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

func TestSource(t *testing.T) {
	four := append([]byte{0x45, 11: 0}, 192, 0, 2, 7, 10, 0, 0, 1)
	six := make([]byte, 40)
	six[0], six[8], six[9], six[23] = 0x60, 0x20, 0x01, 7
	for _, c := range []struct {
		packet []byte
		want   string
	}{
		{four, "192.0.2.7"}, {six, "2001::7"}, {four[:19], ""}, {six[:39], ""}, {nil, ""}, {[]byte{0x50, 39: 0}, ""},
	} {
		got, ok := source(c.packet)
		if ok != (c.want != "") || ok && got != netip.MustParseAddr(c.want) {
			t.Errorf("source of %x: %v, %v; want %q", c.packet, got, ok, c.want)
		}
	}
}

func TestEntry(t *testing.T) {
	prefix, payload := "ssh: Stage 1\x00", append([]byte{0x45, 11: 0}, 192, 0, 2, 7, 10, 0, 0, 1)
	e, ok := entry(nflog.Attribute{Prefix: &prefix, Payload: &payload})
	if !ok || e.Prefix != "ssh: Stage 1" || e.Time.IsZero() {
		t.Errorf("entry: %+v, %v", e, ok)
	}
	if _, ok := entry(nflog.Attribute{Prefix: &prefix}); ok {
		t.Error("an entry without a packet")
	}
}

func TestBindError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
		is   error
	}{
		{errors.New("could not bind to requested group 5: netlink receive: operation not permitted"), "listen to NFLOG group 5: another program listens to this NFLOG group", ErrGroupTaken},
		{errors.New("could not unbind existing handlers from socket: operation not permitted"), "listen to NFLOG group 5: operation not permitted", syscall.EPERM},
		{syscall.ENOMEM, "listen to NFLOG group 5: cannot allocate memory", syscall.ENOMEM},
	} {
		if got := bindError(5, c.err); got.Error() != c.want || !errors.Is(got, c.is) {
			t.Errorf("%v became %v", c.err, got)
		}
	}
}

// TestListen: in order, from both families; a second listener is told why not.
func TestListen(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	server.Run("nft", `add table inet x; add chain inet x c { type filter hook input priority 0; }; add rule inet x c udp dport 1-100 log prefix "p" group 9`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, done, entries := make(chan struct{}), make(chan error, 1), make(chan Entry, 100)
	go func() {
		done <- server.Do(func() error {
			return Listen(ctx, 9, func() { close(ready) }, func(e Entry) { entries <- e }, nil)
		})
	}()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	err := server.Do(func() error { return Listen(ctx, 9, func() {}, func(Entry) {}, nil) })
	if !errors.Is(err, ErrGroupTaken) {
		t.Errorf("a second listener: %v", err)
	}
	for n := 1; n <= 20; n++ {
		for _, address := range []string{nettest.Server4, "[" + nettest.Server6 + "]"} {
			if err := client.Send(fmt.Sprintf("%s:%d", address, n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		for _, want := range []string{nettest.Client4, nettest.Client6} {
			if e := <-entries; e.Src.String() != want || e.Prefix != "p" {
				t.Fatalf("entry %+v, want source %s", e, want)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
