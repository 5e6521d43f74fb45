package nft

import (
	"os"
	"os/exec"
	"testing"

	"knockd/internal/nettest"
)

func TestRecentFaults(t *testing.T) {
	t.Parallel()
	r := Recent{Name: "SSH2", dir: t.TempDir()}
	const want = "list SSH2 of xt_recent: no rule of iptables names it: no such file or directory"
	for _, err := range []error{r.Open(addr("192.0.2.1")), r.Close(addr("192.0.2.1")), r.Check()} {
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
	dir := "/proc/" + itoa(cmd.Process.Pid) + "/net/xt_recent"
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	for i, from := range []string{nettest.Client4, nettest.Client6} {
		r := Recent{Name: []string{"KNOCKipt", "KNOCKip6"}[i], dir: dir}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		client.MustNotReach(nettest.Both("22")[i])
		for range 2 {
			if err := r.Open(addr(from)); err != nil {
				t.Fatal(err)
			}
			client.MustReach(nettest.Both("22")[i])
		}
		for range 2 {
			if err := r.Close(addr(from)); err != nil {
				t.Fatal(err)
			}
			client.MustNotReach(nettest.Both("22")[i])
		}
	}
}
