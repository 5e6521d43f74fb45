package client

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// bindInterface ties a socket to an interface (ip(4), IP_BOUND_IF).
func bindInterface(fd uintptr, network, name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	level, option := unix.IPPROTO_IP, unix.IP_BOUND_IF
	if strings.Contains(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF
	}
	if err := unix.SetsockoptInt(int(fd), level, option, ifi.Index); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}
