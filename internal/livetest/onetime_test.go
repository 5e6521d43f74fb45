package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// oneTimeLines is a file of one-time sequences with two that can be used.
const oneTimeLines = ` 1111:udp,2222,3333:udp
# a comment
 4444,5555:udp
`

// oneTime is a door for mail as knockd's manual has it, with other flags.
const oneTime = `[options]
	logfile = LOG

[opencloseSMTP]
	one_time_sequences = ONETIME
	seq_timeout        = 15
	tcpflags           = syn,!ack
	start_command      = echo open %IP% >> DIR/opened
	cmd_timeout        = 1
	stop_command       = echo close %IP% >> DIR/opened
`

// TestOneTime: each line opens once, the next takes over at once, for both
// families, and after the last the door is shut for good.
func TestOneTime(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, oneTime)
	first, second := []string{"1111:udp", "2222", "3333:udp"}, []string{"4444", "5555:udp"}
	syn(t, client, nettest.Client4, nettest.Server4, second...) // not yet
	syn(t, client, nettest.Client4, nettest.Server4, first...)
	d.waitFor("OPEN SESAME", 1)
	d.waitFor("running command", 2)
	d.sequencesAre("#1111:udp,2222,3333:udp\n# a comment\n 4444,5555:udp\n")
	syn(t, client, nettest.Client4, nettest.Server4, first...) // not again
	syn(t, client, nettest.Client6, nettest.Server6, second...)
	d.waitFor("fd07::1: opencloseSMTP: OPEN SESAME", 1)
	d.waitFor("no more sequences left in the one time sequences file for door opencloseSMTP --> disabling the door", 1)
	d.sequencesAre("#1111:udp,2222,3333:udp\n# a comment\n#4444,5555:udp\n")
	d.waitFor("running command", 4)
	syn(t, client, nettest.Client4, nettest.Server4, second...)
	syn(t, client, nettest.Client4, nettest.Server4, first...)
	d.stop(syscall.SIGTERM)
	if n := strings.Count(d.text(), "OPEN SESAME"); n != 2 {
		t.Errorf("opened %d times, want 2", n)
	}
	for _, secret := range []string{"1111", "2222", "3333", "4444", "5555"} {
		d.lacks(secret)
	}
}

func (d *daemon) sequencesAre(want string) {
	d.t.Helper()
	data, err := os.ReadFile(d.file("sequences"))
	if err != nil {
		d.t.Fatal(err)
	}
	if string(data) != want {
		d.t.Errorf("sequences:\n%swant:\n%s", data, want)
	}
}

// TestOneTimeOthersStopWhereTheyAre: whoever is half way when somebody else
// uses the line does not finish it, nor the next one from where he was.
func TestOneTimeOthersStopWhereTheyAre(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	client.AddAddress("eth0", "10.7.0.3/24")
	d := start(t, server, oneTime)
	syn(t, client, "10.7.0.3", nettest.Server4, "1111:udp")
	syn(t, client, nettest.Client4, nettest.Server4, "1111:udp", "2222", "3333:udp")
	d.waitFor("10.7.0.1: opencloseSMTP: OPEN SESAME", 1)
	syn(t, client, "10.7.0.3", nettest.Server4, "2222", "3333:udp", "5555:udp")
	syn(t, client, nettest.Client4, nettest.Server4, "4444", "5555:udp")
	d.waitFor("10.7.0.1: opencloseSMTP: OPEN SESAME", 2)
	d.lacks("10.7.0.3: opencloseSMTP: Stage 2")
}

// TestOneTimeKilled: a daemon killed at any moment has marked a line before
// it opens the door by it: the safe side is marked, not opened.
func TestOneTimeKilled(t *testing.T) {
	t.Parallel()
	random := nettest.Rand(t)
	client, server := nettest.Pair(t)
	opened := 0
	d := start(t, server, strings.Replace(oneTime, "cmd_timeout        = 1", "cmd_timeout = 0", 1))
	const rounds = 12
	var lines strings.Builder
	for i := range rounds {
		fmt.Fprintf(&lines, "%d:udp,%d:udp\n", 1000+i, 2000+i)
	}
	nettest.Write(t, d.file("sequences"), lines.String())
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.waitFor("re-reading config file", 1)
	for round := 0; round < rounds; round++ {
		if round > 0 {
			d.again(server)
		}
		for i := range rounds {
			syn(t, client, nettest.Client4, nettest.Server4, fmt.Sprintf("%d:udp", 1000+i), fmt.Sprintf("%d:udp", 2000+i))
		}
		// Longer and longer, so that a slow machine opens something too.
		time.Sleep(time.Duration(random.IntN(4000<<(round/2))) * time.Microsecond)
		d.stop(syscall.SIGKILL)
		sequences, err := os.ReadFile(d.file("sequences"))
		if err != nil {
			t.Fatal(err)
		}
		marked := strings.Count(string(sequences), "#")
		data, _ := os.ReadFile(d.file("opened"))
		opened = strings.Count(string(data), "open")
		if opened > marked {
			t.Fatalf("round %d: %d openings by %d used lines", round, opened, marked)
		}
		if marked == rounds {
			break
		}
	}
	if opened == 0 {
		t.Error("nothing was ever opened")
	}
}

// again starts a daemon that has ended once more.
func (d *daemon) again(h *nettest.Host) {
	d.t.Helper()
	n := strings.Count(d.text(), "starting up")
	d.done = make(chan struct{})
	cmd := *d.cmd
	d.run(h, &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, WaitDelay: cmd.WaitDelay})
	d.waitFor("starting up", n+1)
}

// TestOneTimeFin is the door of knockd's manual with its own flags: FIN and
// no ACK.
func TestOneTimeFin(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, strings.Replace(oneTime, "syn,!ack", "fin,!ack", 1))
	hping(t, client, "-F", nettest.Server4, "1111:udp")
	hping(t, client, "-S", nettest.Server4, "2222")
	hping(t, client, "-FA", nettest.Server4, "2222")
	d.waitFor("Stage 1", 1)
	d.lacks("Stage 2")
	hping(t, client, "-F", nettest.Server4, "2222", "3333:udp")
	d.waitFor("10.7.0.1: opencloseSMTP: OPEN SESAME", 1)
	d.waitFor("running command", 2)
	d.sequencesAre("#1111:udp,2222,3333:udp\n# a comment\n 4444,5555:udp\n")
}
