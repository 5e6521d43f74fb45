package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestOrder knocks a hundred times over a path that delays packets by 20 to
// 60 ms, and looks at the order in which they come out. Without the pause,
// which is what knock 0.8 does, the path upsets it.
func TestOrder(t *testing.T) {
	for args, all := range map[string]bool{"-v": true, "-d 0 -v": false} {
		t.Run(args, func(t *testing.T) {
			cli, srv := newPath(t, jitter(40*time.Millisecond, 20*time.Millisecond), nil)
			o := &ordering{t: t, cli: cli, srv: srv, args: strings.Fields(args)}
			const runs = 100
			upset := o.upset(0, runs)
			// On a busy machine the path itself is late at times: what it upsets
			// once is sent again, and must be in order then.
			next := runs
			for tries := 0; all && len(upset) > 0 && tries < 3; tries++ {
				t.Logf("sent again: %q", upset)
				n := len(upset)
				upset = o.upset(next, next+n)
				next += n
			}
			if all != (len(upset) == 0) {
				t.Errorf("out of order: %d of %d: %q", len(upset), runs, upset)
			}
		})
	}
}

// ordering knocks and looks at what arrives.
type ordering struct {
	t    *testing.T
	cli  *nettest.Host
	srv  *nettest.Host
	args []string
}

// upset knocks once for each run from first to last-1, each at ports of its
// own, and returns what arrived of those that came in another order.
func (o *ordering) upset(first, last int) (upset []string) {
	o.t.Helper()
	tap := newTapOn(o.t, o.srv, "tun0") // one that was asked hears no more
	var started []*exec.Cmd
	for run := first; run < last; run++ {
		cmd := command(context.Background(), append(append(slices.Clone(o.args), nettest.Server4), portsOf(run)...)...)
		if err := o.cli.Start(cmd); err != nil {
			o.t.Fatal(err)
		}
		started = append(started, cmd)
		if len(started) == 4 || run == last-1 {
			for _, cmd := range started {
				cmd.Wait()
			}
			started = nil
		}
	}
	time.Sleep(200 * time.Millisecond)
	seen := map[string]string{}
	for line := range strings.Lines(tap.from(nettest.Client4) + "\n") {
		if port := strings.Fields(line); len(port) > 1 {
			seen[port[1][:3]] += " " + port[1]
		}
	}
	for run := first; run < last; run++ {
		p := portsOf(run)
		if got := seen[p[0][:3]]; got != " "+strings.Join(p, " ") {
			upset = append(upset, got)
		}
	}
	return upset
}

// portsOf are the ports of a run, which share their first three digits.
func portsOf(run int) (ports []string) {
	for i := range 4 {
		ports = append(ports, fmt.Sprint(1000+10*run+i))
	}
	return ports
}

// TestSlowPath waits for a door at the end of a path that takes 700 ms there
// and back.
func TestSlowPath(t *testing.T) {
	t.Parallel()
	cli, srv := newPath(t, steady(350*time.Millisecond), nil)
	door := shut(t, srv, "drop")
	tap := newTapOn(t, srv, "tun0")
	door.openOn(tap, "tcp 9000 syn", 0)
	got := knockOn(t, cli, "-w", "tcp/22", nettest.Server4, "7000", "8000", "9000")
	if got.code != 0 {
		t.Errorf("%+v", got)
	}
	t.Logf("open after %v", got.took)
}

// manDoors are the two doors of knockd's manual.
const manDoors = `[options]
	logfile = %[1]s/log
[openSSH]
	sequence    = 7000,8000,9000
	seq_timeout = 10
	tcpflags    = syn
	command     = nft add element inet door open { 22 }
[closeSSH]
	sequence    = 9000,8000,7000
	seq_timeout = 10
	tcpflags    = syn
	command     = nft delete element inet door open { 22 }
`

// TestLostKnock loses one knock on the way to each of the daemons: the door
// is open within three repeats.
func TestLostKnock(t *testing.T) {
	for name, daemon := range daemons(t) {
		for lost := range 4 {
			t.Run(fmt.Sprint(name, " ", lost), func(t *testing.T) {
				t.Parallel()
				n := 0
				lose := func(ip []byte) bool {
					if line := describe(ip); strings.HasPrefix(line, nettest.Client4+" tcp ") && strings.Contains(line, "000 syn") {
						n++
						return n == lost
					}
					return false
				}
				cli, srv := newPath(t, steady(time.Millisecond), lose)
				shut(t, srv, "drop")
				tap := newTapOn(t, srv, "tun0")
				dir := daemon.start(t, srv, "tun0", manDoors)
				got := knockOn(t, cli, "-v", "-w", "tcp/22", nettest.Server4, "7000", "8000", "9000")
				repeats := strings.Count(got.stdout, "still shut")
				if got.code != 0 || repeats > 3 {
					log, _ := os.ReadFile(filepath.Join(dir, "log"))
					t.Errorf("%+v\n%s\n%s", got, log, tap.from(nettest.Client4))
				}
				t.Logf("packet %d lost: open after %d repeats, %v", lost, repeats, got.took)
			})
		}
	}
}
