package xtrecent

import (
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestRecentFaults(t *testing.T) {
	t.Parallel()
	x, list := Action{dir: t.TempDir()}, knock.Arguments{Value: "SSH2"}
	someone := netip.MustParseAddr("192.0.2.1")
	const want = "list SSH2 of xt_recent: no rule of iptables names it: no such file or directory"
	_, err := x.Open(t.Context(), &knock.Opening{Addr: someone, Args: list})
	for _, err := range []error{err, x.write("SSH2", "-", someone), x.Check(list)} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestRecent opens the door of a ruleset in the style of the Arch wiki.
func TestRecent(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
		nettest.NeedProgram(t, tool)
		if out, err := server.Try(tool, "-A", "INPUT", "-p", "tcp", "--syn", "--dport", "22", "-m", "recent",
			"--rcheck", "--seconds", "60", "--name", "KNOCK"+tool[:3], "-j", "ACCEPT"); err != nil {
			nettest.LacksKernel(t, "the match recent: "+out)
		}
		server.Run(tool, "-A", "INPUT", "-p", "tcp", "--dport", "22", "--syn", "-j", "DROP")
	}
	// /proc/net is of the process, so a process of the host's is to look.
	cmd := exec.Command("sleep", "600")
	if err := server.Start(cmd); err != nil {
		t.Fatal(err)
	}
	dir := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/net/xt_recent"
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	for i, from := range []string{nettest.Client4, nettest.Client6} {
		x := Action{dir: dir}
		o := &knock.Opening{Addr: netip.MustParseAddr(from), Args: knock.Arguments{Value: []string{"KNOCKipt", "KNOCKip6"}[i]}}
		if err := x.Check(o.Args); err != nil {
			t.Fatal(err)
		}
		client.MustNotReach(nettest.Both("22")[i])
		for range 2 {
			if _, err := x.Open(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			client.MustReach(nettest.Both("22")[i])
		}
		for range 2 {
			if _, err := x.Close(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			client.MustNotReach(nettest.Both("22")[i])
		}
	}
}
