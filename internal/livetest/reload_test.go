package livetest

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

func (d *daemon) reload(n int) {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.waitFor("re-reading config file: "+d.conf, n)
}

// TestReload: doors come, go and change; attempts and openings of those that
// stay go on; a faulty file changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	const options = "[options]\n\tlogfile = LOG\n"
	door := func(name, sequence, timeout string) string {
		return "[" + name + "]\n\tsequence = " + sequence + "\n\tcmd_timeout = " + timeout +
			"\n\tstart_command = echo " + name + " >> DIR/opened\n\tstop_command = echo no-" + name + " >> DIR/opened\n"
	}
	stays, goes, comes := door("stays", "7000,8000", "3600"), door("goes", "7001,8001", "3600"), door("comes", "7002,8002", "3600")
	d := start(t, server, options+stays+goes)
	syn(t, client, nettest.Client4, nettest.Server4, "7001", "8001")
	d.opensFor("goes")
	syn(t, client, nettest.Client4, nettest.Server4, "7000")
	d.waitFor("stays: Stage 1", 1)

	d.configure(options + stays + comes)
	d.reload(1)
	d.opensFor("goes", "no-goes")
	syn(t, client, nettest.Client4, nettest.Server4, "8000")
	d.opensFor("goes", "no-goes", "stays")
	syn(t, client, nettest.Client4, nettest.Server4, "7002", "8002")
	d.opensFor("goes", "no-goes", "stays", "comes")

	d.configure(options + "[bad]\n\tsequence = 7003,99999\n\tcolour = blue\n" + strings.ReplaceAll(comes, "7002", "7004"))
	d.reload(2)
	d.waitFor(d.conf+":4: [bad] sequence: ", 1)
	d.waitFor(d.conf+":5: [bad] colour: ", 1)
	d.waitFor("configuration not changed", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7004", "8002")
	syn(t, client, nettest.Client6, nettest.Server6, "7002", "8002")
	d.waitFor("fd07::1: comes: OPEN SESAME", 1)
	d.lacks("10.7.0.1: comes: OPEN SESAME\n10.7.0.1: comes: OPEN SESAME")
	d.stop(syscall.SIGTERM)
	d.opensFor("goes", "no-goes", "stays", "comes", "comes", "no-stays", "no-comes", "no-comes")
}

// TestLogRotated: a log file that was moved away is made anew by a reload,
// even by one that finds faults.
func TestLogRotated(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	good := countDoor("7000:udp", "")
	d := start(t, server, good)
	for n, conf := range []string{good, good + "\tcolour = blue\n", good} {
		if err := os.Rename(d.log, d.log+".1"); err != nil {
			t.Fatal(err)
		}
		d.configure(conf)
		d.cmd.Process.Signal(syscall.SIGHUP)
		nettest.Eventually(t, "a new log", func() bool {
			_, err := os.Stat(d.log)
			return err == nil
		})
		syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
		d.waitFor("OPEN SESAME", 1)
		old, err := os.ReadFile(d.log + ".1")
		if err != nil || !strings.Contains(string(old), "re-reading config file: ") {
			t.Errorf("round %d: the old log: %v\n%s", n, err, old)
		}
	}
}

// TestLogGone: a log file that cannot be opened on a reload is said where the
// log was before, and there it goes on.
func TestLogGone(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	conf := countDoor("7000:udp", "")
	d := start(t, server, conf)
	d.configure(strings.Replace(conf, "LOG", "DIR/gone/log", 1))
	d.reload(1)
	d.waitFor("open log file: open "+d.file("gone/log")+": no such file or directory: the log goes on in the file that was open", 1)
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	d.waitFor("OPEN SESAME", 1)
	if err := os.Mkdir(d.file("gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.reload(2)
	d.log = d.file("gone/log") // from here on
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	d.waitFor("OPEN SESAME", 1)
}
