package capture

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// TestAttachFinest checks what is done when the kernel finds a filter too large.
func TestAttachFinest(t *testing.T) {
	w := randomPorts(rand.New(rand.NewPCG(1, 1)), 5000)
	for _, tt := range []struct {
		name    string
		limits  []syscall.Errno // what each call returns
		want    string
		refused bool
		err     error
	}{
		{name: "at once", limits: []syscall.Errno{0}, want: "large"},
		{name: "after a small one", limits: []syscall.Errno{unix.ENOMEM, 0, 0}, want: "large small large"},
		{name: "a coarser one", limits: []syscall.Errno{unix.ENOMEM, 0, unix.ENOMEM, 0}, want: "large small large middle", refused: true},
		{name: "the coarsest", limits: []syscall.Errno{unix.EINVAL, 0, unix.EINVAL, unix.EINVAL}, want: "large small large middle", refused: true},
		{name: "none", limits: []syscall.Errno{unix.ENOMEM, unix.ENOMEM}, want: "large small", refused: true, err: unix.ENOMEM},
		{name: "another error", limits: []syscall.Errno{unix.EPERM}, want: "large", err: unix.EPERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			refused, err := attachFinest(w, func(prog []bpf.Instruction) error {
				size := "large"
				if len(prog) <= minInstructions {
					size = "small"
				} else if len(prog) <= maxInstructions/4 {
					size = "middle"
				}
				calls = append(calls, size)
				if e := tt.limits[len(calls)-1]; e != 0 {
					return os.NewSyscallError("setsockopt", e)
				}
				return nil
			})
			if got := strings.Join(calls, " "); got != tt.want || refused != nil != tt.refused || !errors.Is(err, tt.err) {
				t.Errorf("got %s, refused %v, error %v", got, refused, err)
			}
		})
	}
}

// TestLiveLittleMemory has the kernel refuse filters that it takes elsewhere.
func TestLiveLittleMemory(t *testing.T) {
	client, server := nettest.Pair(t)
	if err := server.Sysctl("net/core/optmem_max", "10000"); err != nil {
		t.Skipf("the kernel has no such limit for each namespace, or the environment does not let us set it: %v", err)
	}
	w := randomPorts(rand.New(rand.NewPCG(1, 1)), 5000)
	w.Matches = append(w.Matches, wantUDP(7000).Matches...)
	var logged []string
	l := listenAndTell(t, server, "eth0", w, func(e event.Event) { logged = append(logged, e.Text()) })
	for range 3 {
		if err := l.SetFilter(w); err != nil {
			t.Fatal(err)
		}
	}
	want := "eth0: setsockopt: cannot allocate memory: using a coarser filter"
	if len(logged) != 1 || logged[0] != want {
		t.Errorf("logged %q, want once %q", logged, want)
	}
	r := read(l)
	send(t, client, nettest.Server4, 7000)
	r.expect(t, 7000)
}

// TestLiveDrops floods a socket that nobody reads: the kernel drops what the
// ring does not hold, and says so.
func TestLiveDrops(t *testing.T) {
	client, server := nettest.Pair(t)
	w := &FilterSpec{Matches: []Match{{Proto: knock.TCP, First: 7000, Last: 7000}}}
	l := listen(t, server, "eth0", w)
	const frames = RingSize / minFrame
	if err := flood(client, "eth0", server.Hardware("eth0"), frames+5000); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "drops", func() bool {
		drops, err := l.Drops()
		return drops > 0 || err != nil
	})
	for n := 0; n < frames; {
		batch, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		n += len(batch)
	}
	drops, err := l.Drops()
	if err != nil || drops == 0 || drops > 5000 {
		t.Errorf("%d drops, %v", drops, err)
	}

	// A packet that comes after a loss shows it.
	if err := flood(client, "eth0", server.Hardware("eth0"), frames+5000); err != nil {
		t.Fatal(err)
	}
	for n := 0; !l.HasDrops(); n++ {
		if n == 2*frames {
			t.Fatal("the loss is not noticed")
		}
		flood(client, "eth0", server.Hardware("eth0"), 1)
		if _, err := l.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := l.Drops(); err != nil || more <= drops || l.HasDrops() {
		t.Errorf("%d drops, then %d, %v; has drops %v", drops, more, err, l.HasDrops())
	}
}
