package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// syn begins a connection without waiting for it and closes the socket, which
// in state SYN-SENT sends nothing and ends the repeats: exactly one SYN goes
// out, whatever the other side answers. With a Watcher the socket is closed when
// there is an answer, or before the first repeat.
func (s *Sender) syn(_ context.Context, to netip.AddrPort, _ time.Duration) error {
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	watched := false
	defer func() {
		if !watched {
			unix.Close(fd)
		}
	}()
	if err := s.bind(fd); err != nil {
		return err
	}
	remote, err := sockaddr(to)
	if err != nil {
		return err
	}
	if s.Watch != nil {
		askErrors(fd)
		quiet(fd)
	}
	at := time.Now()
	err = unix.Connect(fd, remote)
	// A refusal is an answer: on the loopback it comes before connect returns.
	refused := errors.Is(err, unix.ECONNREFUSED)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) && !refused {
		s.failed(Sent{At: at, What: "tcp syn", To: to}, err)
		return fmt.Errorf("connect: %w", err)
	}
	if s.Watch != nil {
		if !refused {
			err = nil
		}
		watched = true
		s.watchSYN(at, to, fd, err)
	}
	return nil
}

// bind gives a socket the route.
func (r Route) bind(fd int) error {
	if r.Interface != "" {
		if err := bindInterface(uintptr(fd), "", r.Interface); err != nil {
			return err
		}
	}
	if !r.Source.IsValid() {
		return nil
	}
	local, err := sockaddr(netip.AddrPortFrom(r.Source.Unmap(), 0))
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, local); err != nil {
		return fmt.Errorf("source address %s: %w", r.Source, err)
	}
	return nil
}

// bindInterface ties a socket to an interface (socket(7), SO_BINDTODEVICE).
func bindInterface(fd uintptr, _, name string) error {
	if err := unix.BindToDevice(int(fd), name); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}

// sockaddr turns an address into what system calls take.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	addr := a.Addr()
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: addr.As4()}, nil
	}
	zone, err := zoneIndex(addr.Zone())
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: addr.As16(), ZoneId: zone}, nil
}

// zoneIndex returns the index of the interface that a zone names, by name or
// by number (RFC 4007, 11.2).
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", zone, err)
	}
	return uint32(ifi.Index), nil
}
