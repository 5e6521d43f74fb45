package client

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// How long getent(1) may take, and how much it may say.
const (
	getentPatience = 5 * time.Second
	getentLongest  = 1 << 16
)

// askSystem returns a name's addresses in the order in which ssh and knock 0.8
// try them: that of the system's own getaddrinfo(3), with gai.conf and every
// NSS module, which a static binary can ask by way of getent alone. Without
// getent, or if it has no answer, there is none.
func askSystem(ctx context.Context, name string) []netip.Addr {
	if name == "" || name[0] == '-' { // an option to getent
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, getentPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "getent", "ahosts", name)
	cmd.WaitDelay = time.Second // should a child of it hold the pipe
	var out limited
	cmd.Stdout = &out
	if cmd.Run() != nil {
		return nil
	}
	return parseAhosts(out.text.String())
}

// parseAhosts reads addresses, the first word of each line, and nothing else:
// the rest is text of name servers. Each stands there once for each type of
// socket.
func parseAhosts(text string) (all []netip.Addr) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(words[0]); err == nil && !slices.Contains(all, addr.Unmap()) {
			all = append(all, addr.Unmap())
		}
	}
	return all
}

// limited keeps what is written, up to getentLongest. It is no io.ReaderFrom,
// which would go past the limit.
type limited struct{ text bytes.Buffer }

// Write takes all or nothing.
func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > getentLongest {
		return 0, io.ErrShortWrite
	}
	return l.text.Write(p)
}
