package livetest

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// BenchmarkSPALatency is the time from the sending of a packet to the element
// in the kernel's set, with the disk between, as the median and the longest of
// all: the door is open then. What is sent is sealed before.
func BenchmarkSPALatency(b *testing.B) {
	client, server := openSite(b)
	startKeyed(b, server, "[options]\n\tLogFile = LOG\n[ssh]\n\tspa_key_file = DIR/ssh.keys\n\topen = tcp/22\n\tcmd_timeout = 300\n", spaKeys)
	elements := watchElements(b, server)
	// Not connected: what the kernel says of the packet before is no matter.
	var conn net.PacketConn
	if err := client.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", nettest.Client4+":0")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	var times []time.Duration
	for b.Loop() {
		n := len(times)
		packet := message(b, laptop, fmt.Sprintf("10.%d.%d.%d", 100+n/62500, n/250%250, 1+n%250))
		drain(elements)
		sent := time.Now()
		if _, err := conn.WriteTo(packet, &net.UDPAddr{IP: net.ParseIP(nettest.Server4), Port: 62201}); err != nil {
			b.Fatal(err)
		}
		select {
		case at := <-elements:
			times = append(times, at.Sub(sent))
		case <-time.After(patience):
			b.Fatal("no element")
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(times[len(times)*9/10].Microseconds())/1000, "p90-ms")
	b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "longest-ms")
}

func drain(c <-chan time.Time) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}

// watchElements tells when an element is put into a set of the host.
func watchElements(t testing.TB, h *nettest.Host) <-chan time.Time {
	t.Helper()
	const newElement = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
	var conn *netlink.Conn
	err := h.Do(func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err == nil {
		err = conn.JoinGroup(unix.NFNLGRP_NFTABLES)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	at := make(chan time.Time, 1000)
	go func() {
		for {
			list, err := conn.Receive()
			now := time.Now()
			if err != nil {
				return
			}
			for _, m := range list {
				if m.Header.Type == newElement {
					at <- now
					break
				}
			}
		}
	}()
	return at
}
