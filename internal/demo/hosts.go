package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// host is a network namespace, and the one that a thread must be in.
type host struct{ ns netns.NsHandle }

// do runs a function on a thread in the host's namespace. The thread ends
// with it.
func (h host) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		if err := netns.Set(h.ns); err != nil {
			done <- fmt.Errorf("enter a namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// newHosts makes two hosts that share a cable.
func newHosts(serverAddr, clientAddr string) (server, client host, err error) {
	if server.ns, err = netns.Get(); err != nil {
		return server, client, fmt.Errorf("open the namespace: %w", err)
	}
	if client.ns, err = anotherNamespace(); err != nil {
		return server, client, err
	}
	err = server.do(func() error {
		cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(client.ns)}
		if err := netlink.LinkAdd(cable); err != nil {
			return fmt.Errorf("lay a cable between two hosts: %w", err)
		}
		return configure(serverAddr)
	})
	if err == nil {
		err = client.do(func() error { return configure(clientAddr) })
	}
	return server, client, err
}

func anotherNamespace() (ns netns.NsHandle, err error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err = netns.New()
		done <- err
	}()
	if err = <-done; err != nil {
		err = fmt.Errorf("make a second host: %w", err)
	}
	return ns, err
}

// configure gives eth0 of this namespace its address and brings all up.
func configure(addr string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if name == "eth0" {
			a, err := netlink.ParseAddr(addr)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(link, a); err != nil {
				return fmt.Errorf("give %s its address: %w", name, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("bring %s up: %w", name, err)
		}
	}
	return nil
}

// greet accepts connections and says hello to each.
func greet(l net.Listener, text string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, text)
		c.Close()
	}
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
