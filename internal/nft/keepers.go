package nft

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// Keepers returns the processes that keep tables of ours from being taken out:
// those that own one, and other runs of this program that watch the rules and
// would put it back. Of an owner that is not to be seen from here, it returns
// the table.
func Keepers() (pids []int, unseen []knock.Table, err error) {
	k, err := dial(0)
	if err != nil {
		return nil, nil, err
	}
	defer k.close()
	tables, err := listTables(k)
	if err != nil {
		return nil, nil, err
	}
	owners := map[uint32]knock.Table{}
	for _, t := range tables {
		sets, err := k.sets(t)
		if err != nil {
			return nil, nil, fmt.Errorf("list the sets of table %s: %w", TableOf(t), reason(err))
		}
		if t.Owner != 0 && isOurTable(sets) {
			owners[t.Owner] = TableOf(t)
		}
	}
	sockets, err := netfilterSockets()
	if err != nil {
		return nil, nil, err
	}
	pids = keepersOf(owners, sockets)
	for _, t := range owners {
		unseen = append(unseen, t)
	}
	return pids, unseen, nil
}

// keepersOf looks for the processes that hold sockets of owners, which it takes
// out of the map, or that are this program and watch.
func keepersOf(owners map[uint32]knock.Table, sockets map[string]netlinkSocket) (pids []int) {
	own := programOf(os.Getpid())
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		name, err := os.Readlink(link)
		s, ok := sockets[name]
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || !ok || pid == os.Getpid() {
			continue
		}
		_, owns := owners[s.port]
		if (owns || s.watches && programOf(pid) == own) && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
		delete(owners, s.port)
	}
	return pids
}

// programOf returns the name of the file that a process runs.
func programOf(pid int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return filepath.Base(strings.TrimSuffix(path, " (deleted)"))
}

// netlinkSocket is a socket that speaks to the kernel's firewall.
type netlinkSocket struct {
	port    uint32
	watches bool // changes of rules are reported to it
}

// netfilterSockets lists the sockets of this network namespace by what
// /proc/PID/fd calls them.
func netfilterSockets() (map[string]netlinkSocket, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return nil, fmt.Errorf("list the netlink sockets: %w", err)
	}
	all := map[string]netlinkSocket{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		if len(f) < 10 || f[1] != strconv.Itoa(unix.NETLINK_NETFILTER) {
			continue
		}
		port, _ := strconv.ParseUint(f[2], 10, 32)
		groups, _ := strconv.ParseUint(f[3], 16, 32)
		all["socket:["+f[9]+"]"] = netlinkSocket{uint32(port), groups&(1<<(unix.NFNLGRP_NFTABLES-1)) != 0}
	}
	return all, nil
}
