package nft

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// TestAmbient: an ordinary user needs CAP_NET_ADMIN and nothing else.
func TestAmbient(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	const denied = "watch the rules: CAP_NET_ADMIN is missing, or the table belongs to another program: netlink join-group: setsockopt: operation not permitted\n"
	if line := firstLine(t, server, &syscall.SysProcAttr{Credential: nobody}); line != denied {
		t.Errorf("without capabilities: %q", line)
	}
	client.MustReach(nettest.Both("22")[1])
	attr := &syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	if line := firstLine(t, server, attr); line != "ready\n" {
		t.Errorf("with CAP_NET_ADMIN: %q", line)
	}
	client.MustReach(nettest.Both("22")[0])
	client.MustNotReach(nettest.Both("22")[1])
}

// TestUserNamespace: root of a user namespace is enough for its networks.
func TestUserNamespace(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "nft")
	cmd := exec.Command("/proc/self/exe", childArg, nettest.Client4)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.Output()
	if cmd.Process == nil {
		nettest.LacksKernel(t, "user namespaces for this user")
	}
	if err != nil || string(out) != "ready\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// firstLine starts the program that holds the guard in a host and returns what
// it says.
func firstLine(t *testing.T, h *nettest.Host, attr *syscall.SysProcAttr) string {
	t.Helper()
	// The test binary may lie where an ordinary user cannot look.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", childArg, nettest.Client4)
	cmd.ExtraFiles = []*os.File{self}
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Errorf("child: %v", err)
	}
	return line
}
