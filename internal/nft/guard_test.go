package nft

import (
	"testing"
	"time"

	"knockd/internal/nettest"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			server.EchoTCP(":80")
			f := firewall(t, server, Options{Hook: hook})
			for _, a := range both("22") {
				reaches(t, client, a)
			}
			if w := ensure(t, f, Door{Name: "ssh", Ports: ports(t, "tcp/22"), Timeout: 2 * time.Second}); len(w) > 0 {
				t.Error(w)
			}
			for _, a := range both("22") {
				shut(t, client, a)
			}
			for _, a := range both("80") {
				reaches(t, client, a)
			}
			reaches(t, server, "127.0.0.1:22")
			reaches(t, server, "[::1]:22")
			reaches(t, server, nettest.Server4+":22")
			for i, from := range []string{nettest.Client4, nettest.Client6} {
				got := open(t, f, Opening{Door: "ssh", Addr: addr(from)})
				if got.Left <= time.Second || got.Left > 2*time.Second || got.Prefix.Addr() != addr(from) || !got.Prefix.IsSingleIP() {
					t.Errorf("opened %+v", got)
				}
				reaches(t, client, both("22")[i])
				shut(t, client, both("22")[1-i])
				eventually(t, "the door closes", func() bool { return !client.Reaches(both("22")[i], moment) })
				if open, err := f.List(); err != nil || len(open) > 0 {
					t.Errorf("still listed: %v, %v", open, err)
				}
			}
		})
	}
}
