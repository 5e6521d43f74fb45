package livetest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// forge sends n IPv4 packets with addresses of strangers from the client of a
// pair to its server, at most so many a second.
func forge(t *testing.T, client, server *nettest.Host, n, rate int, packet func(i int) []byte) {
	t.Helper()
	head := append(append(server.Hardware("eth0"), client.Hardware("eth0")...), 8, 0)
	err := client.Do(func() error {
		ifc, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		to := &syscall.SockaddrLinklayer{Ifindex: ifc.Index, Halen: 6}
		begin := time.Now()
		for i := range n {
			if i%100 == 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			}
			frame := append(head[:len(head):len(head)], packet(i)...)
			for err = syscall.ENOBUFS; err == syscall.ENOBUFS; {
				err = syscall.Sendto(fd, frame, 0, to)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("forge: %v", err)
	}
}

// knockSYN returns the i-th SYN of strangers who each hit all of the ports, one
// after the other.
func knockSYN(ports ...uint16) func(i int) []byte {
	return func(i int) []byte {
		return synPacket(strangers+uint32(i/len(ports)), ports[i%len(ports)], uint32(i))
	}
}

// TestGuestFillsTheTable: whoever knows two steps of the guest's door and forges
// addresses ends no attempt at another one, and the log says what happens. With
// KNOCKD_LONG=1 the table has its usual size.
func TestGuestFillsTheTable(t *testing.T) {
	t.Parallel()
	limit, sources := 2000, 4000
	if long {
		limit, sources = 262_144, 270_000
	}
	client, server := nettest.Pair(t)
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprintf("10.7.0.%d", 11+i))
		client.AddAddress("eth0", want[i]+"/24")
	}
	d := start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	MaxAttempts = %d
[guest]
	sequence = 7000,8000,9000
	seq_timeout = 600
	command = echo guest >> DIR/opened
[admin]
	sequence = 7100,8100,9100
	seq_timeout = 600
	command = echo %%IP%% >> DIR/opened
`, limit))
	forge(t, client, server, 2*sources, 20_000, knockSYN(7000, 8000))
	d.waitFor(fmt.Sprintf("MaxAttempts (%d) reached: attempts given up: ", limit), 1)
	flood := make(chan struct{})
	go func() { // and it goes on
		defer close(flood)
		forge(t, client, server, 10_000, 5_000, func(i int) []byte { return knockSYN(7000, 8000)(2*sources + i) })
	}()
	for _, from := range want {
		syn(t, client, from, nettest.Server4, "7100", "8100", "9100")
	}
	<-flood
	d.opensFor(want...)
	if n := strings.Count(d.text(), "attempts given up"); n > 5 {
		t.Errorf("%d lines about attempts given up", n)
	}
}

// TestGuestHangs: whoever knows the guest's door, whose command hangs, and
// forges addresses takes no worker from another one, and its stop commands that
// hang keep no other door open; what has to wait says so.
func TestGuestHangs(t *testing.T) {
	for _, what := range []string{"start", "stop"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			guest := "start_command = exec sleep 600"
			if what == "stop" {
				guest = "start_command = true\n\tstop_command = exec sleep 600"
			}
			d := start(t, server, `[options]
	logfile = LOG
[guest]
	sequence = 7000,8000
	cmd_timeout = 0
	`+guest+`
[admin]
	sequence = 7100,8100,9100
	start_command = echo opened %IP% >> DIR/opened
	cmd_timeout = 1
	stop_command = echo closed %IP% >> DIR/opened
`)
			const forged = 200
			forge(t, client, server, 2*forged, 1000, knockSYN(7000, 8000))
			d.waitFor("guest: OPEN SESAME", forged)
			d.waitFor("running command: exec sleep 600", 64)
			for range 3 {
				syn(t, client, nettest.Client4, nettest.Server4, "7100", "8100", "9100")
			}
			nettest.Eventually(t, "opened and closed", func() bool { return len(d.opened()) == 3*2*2 })
			if what == "start" {
				d.waitFor("guest: start command waits: 64 of this door run", forged-64)
			}
			d.lacks("admin: start command waits")
			d.cmd.Process.Kill() // or it waits for them as long as it has promised
		})
	}
}

// TestGuestFillsTheOpenings: a guest's door that is open for as many forged
// addresses as it can be leaves the admin his place.
func TestGuestFillsTheOpenings(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	const most = 10_000 // doors.MaxWaiting / 2
	client, server := nettest.Pair(t)
	d := start(t, server, `[options]
	logfile = LOG
[guest]
	sequence = 7000,8000
	seq_timeout = 600
	open = tcp/2222
	cmd_timeout = 600
[admin]
	sequence = 7100,8100,9100
	start_command = echo opened %IP% >> DIR/opened
	cmd_timeout = 600
	stop_command = echo closed %IP% >> DIR/opened
`)
	forge(t, client, server, 2*(most+500), 8_000, knockSYN(7000, 8000))
	d.waitFor("guest: OPEN SESAME", most)
	for i := range 3 {
		from := fmt.Sprintf("10.7.0.%d", 11+i)
		client.AddAddress("eth0", from+"/24")
		syn(t, client, from, nettest.Server4, "7100", "8100", "9100")
	}
	d.opensFor("opened", "10.7.0.11", "opened", "10.7.0.12", "opened", "10.7.0.13")
	d.waitFor(fmt.Sprintf("guest: not opened: %d openings are held already, %d of this door", most, most), 1)
	if n := strings.Count(d.text(), "guest: OPEN SESAME"); n != most {
		t.Errorf("guest opened %d times", n)
	}
}

// limited returns a program that runs knockd after a command of the shell, such
// as ulimit.
func limited(t *testing.T, h *nettest.Host, command string) string {
	t.Helper()
	name := t.TempDir() + "/knockd"
	text := "#!/bin/sh\n" + command + "\nexec " + program(t, "knockd") + ` "$@"`
	// By another process: see copyProgram.
	h.Run("sh", "-c", `printf '%s\n' "$1" > "$2" && chmod 755 "$2"`, "sh", text, name)
	return name
}

// fewConf is a door whose commands take a moment and print a limit.
const fewConf = `[options]
	logfile = LOG
[door]
	sequence = 7000,8000
	start_command = sleep 0.1; echo opened %IP%. $(ulimit -Sn) >> DIR/opened
	cmd_timeout = 1
	stop_command = sleep 0.1; echo closed %IP%. >> DIR/opened
`

// openedAndClosed waits until n openings were logged, opened and closed, and
// nothing else.
func (d *daemon) openedAndClosed(n int, limit string) {
	d.t.Helper()
	d.waitFor("door: OPEN SESAME", n)
	nettest.Eventually(d.t, "all closed", func() bool { return countIn(d.file("opened"), "closed") >= n })
	text := strings.Join(d.opened(), " ")
	var lacking []string
	for i := range n {
		ip := netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}).String() + ". "
		if strings.Count(text+" ", "opened "+ip+limit+" ") != 1 || strings.Count(text+" ", "closed "+ip) != 1 {
			lacking = append(lacking, ip)
		}
	}
	if len(lacking) > 0 {
		d.t.Errorf("not opened and closed once: %v", lacking)
	}
	if got := strings.Count(text, "ed "); got != 2*n {
		d.t.Errorf("%d commands ran, want %d", got, 2*n)
	}
}

// TestFewDescriptors: with hardly any descriptors all that was logged as opened
// is opened and closed, by as many commands at a time as there is room for.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	const n = 201
	client, server := nettest.Pair(t)
	d := prepare(t, server, limited(t, server, "ulimit -n 64"), fewConf)
	d.waitFor("starting up, listening on", 1)
	forge(t, client, server, 2*n, 1000, knockSYN(7000, 8000))
	d.openedAndClosed(n, "64")
	d.waitFor("only 64 files may be open (ulimit -n)", 1)
	d.lacks("not run")
	d.lacks("too many open files")
}

// TestNoDescriptors: a daemon that has none left for a while says so, and runs
// all that was logged when it has some. Commands have the soft limit that the
// daemon was started with.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	const n = 30
	client, server := nettest.Pair(t)
	d := prepare(t, server, limited(t, server, "ulimit -Sn 200"), fewConf)
	d.waitFor("starting up, listening on", 1)
	pid := d.cmd.Process.Pid
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: before.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	forge(t, client, server, 2*n, 1000, knockSYN(7000, 8000))
	d.waitFor("door: start command for 11.0.0.", n)
	if got := d.opened(); len(got) > 0 {
		t.Errorf("opened without a descriptor: %v", got)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	d.waitFor("door: start command run at last for 11.0.0.", n)
	d.openedAndClosed(n, "200")
}

// TestFewProcesses: where hardly any processes may be made, as in a container
// with a limit, commands that hang end no daemon and keep no other door shut,
// and what could not be run is, in the end.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	client, server := nettest.Pair(t)
	group, _ := controlGroup(t, "pids", "pids.max")
	limit := func(n int) { nettest.Write(t, group+"/pids.max", fmt.Sprint(n)) }
	limit(100)
	d := prepare(t, server, limited(t, server, "echo $$ > "+group+"/cgroup.procs"), `[options]
	logfile = LOG
[guest]
	sequence = 7000,8000
	start_command = sleep 600
[admin]
	sequence = 7100,8100,9100
	start_command = sleep 0.1; echo opened %IP% >> DIR/opened
	cmd_timeout = 1
	stop_command = sleep 0.1; echo closed %IP% >> DIR/opened
`)
	d.waitFor("starting up, listening on", 1)
	forge(t, client, server, 2*150, 1000, knockSYN(7000, 8000))
	d.waitFor("guest: OPEN SESAME", 150)
	syn(t, client, nettest.Client4, nettest.Server4, "7100", "8100", "9100")
	nettest.Eventually(t, "opened and closed", func() bool { return len(d.opened()) == 2*2 })
	d.lacks("not run")

	d.configure("[options]\n\tlogfile = LOG\n[admin]\n\tsequence = 7100,8100,9100\n\tcommand = echo late >> DIR/opened\n")
	limit(1) // there are more: none can be made
	syn(t, client, nettest.Client4, nettest.Server4, "7100", "8100", "9100")
	d.waitFor("admin: start command for 10.7.0.1 not run, tried again", 1)
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.waitFor("re-reading config file", 1)
	limit(1000)
	d.waitFor("admin: start command run at last for 10.7.0.1", 1)
	nettest.Eventually(t, "opened and closed", func() bool { return len(d.opened()) == 2*2*2 })
	d.cmd.Process.Kill() // or it waits for the guest's commands
}

// controlGroup makes a control group with a controller, whose limit is set by one
// of the files; it returns this one, too. It ends what is left in the group.
func controlGroup(t *testing.T, controller string, files ...string) (group, limit string) {
	t.Helper()
	for _, parent := range []string{"/sys/fs/cgroup/" + controller, "/sys/fs/cgroup"} {
		group := fmt.Sprintf("%s/knockd-livetest-%d", parent, os.Getpid())
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			nettest.Eventually(t, "the control group removed", func() bool {
				pids, _ := os.ReadFile(group + "/cgroup.procs")
				for _, pid := range strings.Fields(string(pids)) {
					n, _ := strconv.Atoi(pid)
					syscall.Kill(n, syscall.SIGKILL)
				}
				return os.Remove(group) == nil
			})
		})
		for _, name := range files {
			if _, err := os.Stat(group + "/" + name); err == nil {
				return group, group + "/" + name
			}
		}
	}
	nettest.LacksKernel(t, "a control group with the controller "+controller)
	return "", ""
}
