package netstate

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procNet is where the kernel lists its sockets (proc(5)).
const procNet = "/proc/net"

// Listener is a port on which a program of this host serves others.
type Listener struct {
	Proto uint8 // of IP: IPPROTO_TCP or IPPROTO_UDP
	Port  uint16
}

// Listeners returns those that there are now.
func Listeners() []Listener { return listeners(procNet) }

func listeners(dir string) []Listener {
	var out []Listener
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue // a kernel without IPv6
		}
		proto, state := uint8(unix.IPPROTO_TCP), "0A" // TCP_LISTEN
		if strings.HasPrefix(file, "udp") {
			proto, state = unix.IPPROTO_UDP, "07" // not connected
		}
		for _, line := range strings.Split(string(text), "\n") {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != state {
				continue
			}
			addr, port, _ := strings.Cut(f[1], ":")
			n, err := strconv.ParseUint(port, 16, 16)
			if err == nil && n > 0 && !loopback(addr) {
				out = append(out, Listener{Proto: proto, Port: uint16(n)})
			}
		}
	}
	return out
}

// loopback reports whether a socket's address, as the kernel prints it on a
// little-endian or a big-endian machine, is reached from the host alone.
func loopback(addr string) bool {
	switch len(addr) {
	case 8:
		return strings.HasSuffix(addr, "7F") || strings.HasPrefix(addr, "7F")
	case 32:
		return addr == "00000000000000000000000001000000" || addr == "00000000000000000000000000000001"
	}
	return false
}
