package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// terminal opens a pseudo terminal: what is written to the second file can be
// read from the first.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		nettest.LacksKernel(t, "pseudo terminals: "+err.Error())
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestProgress: on a terminal a line counts the seconds, and is gone before
// anything else is said. TestWait sees that there is none elsewhere.
func TestProgress(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	shut(t, srv, "drop")
	for args, want := range map[string]string{
		"": "\rknock: waiting for tcp/22 at 10.7.0.2: 0 s\rknock: waiting for tcp/22 at 10.7.0.2: 1 s\r\x1b[Kknock: tcp/22 at 10.7.0.2 did not open within 1.5s: no answer\r\n",
		// What -v says, and the object of --json, stand alone.
		"-v":     "knock: tcp/22 at 10.7.0.2 did not open within 1.5s: no answer\r\n",
		"--json": "",
	} {
		master, slave := terminal(t)
		cmd := command(context.Background(), append(strings.Fields(args), "-w", "22", "--timeout", "1.5", nettest.Server4, "7000")...)
		cmd.Stderr = slave
		if err := cli.Start(cmd); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		cmd.Wait()
		// The terminal hands over what was printed in parts, and ends with EIO.
		text, _ := io.ReadAll(master)
		if got := string(text); !strings.HasPrefix(got, want) || cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%s: %q", args, got)
		}
	}
}
