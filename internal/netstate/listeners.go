package netstate

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procNet is where the kernel lists the sockets of a thread's network (proc(5)).
const procNet = "/proc/thread-self/net"

// Listener is a port on which a program of this host serves others.
type Listener struct {
	Proto uint8 // of IP: IPPROTO_TCP or IPPROTO_UDP
	Port  uint16
}

// The states of a socket that there are to tell apart (include/net/tcp_states.h).
const (
	stateEstablished = "01" // a UDP socket that is connected has it too
	stateUnconnected = "07" // of UDP
	stateListen      = "0A"
)

// Listeners returns those that there are now.
func Listeners() []Listener { return listeners(procNet) }

func listeners(dir string) []Listener {
	var out []Listener
	eachSocket(dir, func(s socket) {
		serves := s.proto == unix.IPPROTO_TCP && s.state == stateListen || s.proto == unix.IPPROTO_UDP && s.state == stateUnconnected
		if serves && s.port > 0 && !loopback(s.addr) {
			out = append(out, Listener{Proto: s.proto, Port: s.port})
		}
	})
	return out
}

// Connected returns the local addresses of the connections that there are to a
// TCP port of this host from elsewhere, sorted, each once.
func Connected(port uint16) []netip.Addr { return connected(procNet, port) }

func connected(dir string, port uint16) []netip.Addr {
	var out []netip.Addr
	eachSocket(dir, func(s socket) {
		if a, ok := socketAddr(s.addr); ok && s.proto == unix.IPPROTO_TCP && s.state == stateEstablished && s.port == port && !a.IsLoopback() {
			out = append(out, a)
		}
	})
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// socket is a line of the kernel's lists; addr is the local address as it stands
// there.
type socket struct {
	proto       uint8
	addr, state string
	port        uint16
}

// eachSocket reads the kernel's lists. One that is not there is of a kernel
// without IPv6.
func eachSocket(dir string, yield func(socket)) {
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		proto := uint8(unix.IPPROTO_TCP)
		if strings.HasPrefix(file, "udp") {
			proto = unix.IPPROTO_UDP
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 {
				continue
			}
			addr, port, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(port, 16, 16); err == nil {
				yield(socket{proto, addr, f[3], uint16(n)})
			}
		}
	}
}

// socketAddr reads a socket's address: words of 32 bits, each printed as a
// number of the machine's own byte order.
func socketAddr(text string) (netip.Addr, bool) {
	words, err := hex.DecodeString(text)
	if err != nil || len(words) != 4 && len(words) != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	a, ok := netip.AddrFromSlice(words)
	return a.Unmap(), ok
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
