package livetest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// onceDoor counts its openings, each with the address that it was opened for.
const onceDoor = `[options]
	logfile = LOG
	LogRate = 100000
[ssh]
	spa_key_file = DIR/ssh.keys
	open = tcp/22
	start_command = echo %IP% >> DIR/opened
	stop_command = true
	cmd_timeout = 3600
`

// TestSPAReplayLive: a packet opens once, however it is spelled, whoever sends
// it, and also after the daemon was stopped or killed, or the store deleted.
func TestSPAReplayLive(t *testing.T) {
	for name, c := range map[string]struct {
		client     spa.Client
		keys, door string
	}{
		"HMAC":    {laptop, spaKeys, ""},
		"no HMAC": {spa.Client{Key: []byte(spaKey)}, "[laptop]\nKEY " + spaKey + "\n", "\tspa_hmac = none\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := site(t)
			client.AddAddress("eth0", "10.7.0.66/24")
			d := startKeyed(t, server, onceDoor+c.door, c.keys)
			packet := message(t, c.client, "10.7.0.1")
			all := respelled(packet, c.client)
			replay := func(when string) {
				t.Helper()
				for i, p := range all {
					sendMessage(t, client, p)
					if i%50 == 49 {
						d.settled(t, client, c.client)
					}
				}
				if err := sendFrom(client, "10.7.0.66", packet); err != nil {
					t.Fatal(err)
				}
				d.settled(t, client, c.client)
				if got := d.opened(); !slices.Equal(slices.DeleteFunc(got, func(a string) bool { return a != "10.7.0.1" }), []string{"10.7.0.1"}) {
					t.Errorf("%s: opened for %v", when, got)
				}
			}
			sendMessage(t, client, packet)
			nettest.Eventually(t, "opened", func() bool { return len(d.opened()) == 1 })
			replay("at once")
			d.waitFor("10.7.0.1: ssh (laptop): SPA packet refused: used before", 4)
			d.waitFor("10.7.0.66: ssh (laptop): SPA packet refused: used before", 1)
			d.stop(syscall.SIGTERM)
			d.again(server)
			replay("stopped and started")
			d.stop(syscall.SIGKILL)
			d.again(server)
			replay("killed and started")
			d.removeStore(t)
			replay("store deleted under the daemon")
			d.stop(syscall.SIGTERM)
			d.again(server)
			replay("and started again")
			d.stop(syscall.SIGKILL)
			d.removeStore(t)
			d.again(server)
			for range 3 {
				sendMessage(t, client, packet)
				sendMessage(t, client, resalt(packet, c.client))
			}
			d.waitFor("what was used up to then is no longer remembered", 6)
			d.waitFor("the store of used messages was taken away", 1)
			if n := strings.Count(strings.Join(d.opened(), "\n"), "10.7.0.1"); n != 1 {
				t.Errorf("opened %d times", n)
			}
		})
	}
}

// settled waits until a packet that was sent after all others has opened.
func (d *daemon) settled(t *testing.T, client *nettest.Host, c spa.Client) {
	t.Helper()
	d.marks++
	mark := fmt.Sprintf("10.99.%d.%d", d.marks/250, 1+d.marks%250)
	sendMessage(t, client, message(t, c, mark))
	nettest.Eventually(t, "opened for "+mark, func() bool { return slices.Contains(d.opened(), mark) })
}

// removeStore deletes the store of used messages.
func (d *daemon) removeStore(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(d.file("state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".used") {
			if err := os.Remove(d.file("state") + "/" + e.Name()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no store")
}

// TestSPAKilled: a daemon that is killed at any moment between a packet and
// its opening opens at most once for it, before and after. With KNOCKD_LONG=1
// two hundred times.
func TestSPAKilled(t *testing.T) {
	t.Parallel()
	random := nettest.Rand(t)
	client, server := nettest.Pair(t)
	d := startKeyed(t, server, onceDoor, spaKeys)
	rounds := 8
	if os.Getenv("KNOCKD_LONG") != "" {
		rounds = 200
	}
	var before, after, never int
	for round := range rounds {
		addr := fmt.Sprintf("10.%d.%d.1", 100+round/200, round%200)
		packet := message(t, laptop, addr)
		sendMessage(t, client, packet)
		time.Sleep(time.Duration(random.IntN(1500)) * time.Microsecond)
		d.stop(syscall.SIGKILL)
		first := d.openedFor(addr)
		d.again(server)
		for _, p := range [][]byte{packet, resalt(packet, laptop), packet} {
			sendMessage(t, client, p)
		}
		d.settled(t, client, laptop)
		time.Sleep(5 * time.Millisecond) // for a command that was started before that of the mark
		switch second := d.openedFor(addr); {
		case second > 1 || first > second:
			t.Fatalf("round %d: opened %d times before the end, %d in all", round, first, second)
		case first == 1:
			before++
		case second == 1:
			after++
		default:
			never++
		}
	}
	t.Logf("of %d packets %d opened before the end, %d after it, %d never: used, and not opened", rounds, before, after, never)
}

func (d *daemon) openedFor(addr string) (n int) {
	for _, a := range d.opened() {
		if a == addr {
			n++
		}
	}
	return n
}

// TestSPACrashOutput: what the daemon writes when it crashes holds no key and
// no message.
func TestSPACrashOutput(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := startKeyed(t, server, onceDoor, spaKeys)
	for i := range 20 {
		p := message(t, laptop, fmt.Sprintf("10.7.1.%d", i+1))
		sendMessage(t, client, p)
		sendMessage(t, client, p)
		sendMessage(t, client, message(t, spa.NewClient("stranger", spa.SHA256), "192.0.2.1"))
	}
	d.waitFor("OPEN SESAME", 20)
	if status := d.stop(syscall.SIGQUIT); status != 2 || !strings.Contains(d.output.String(), "goroutine 1 ") {
		t.Errorf("status %d, not the output of a crash:\n%s", status, d.output.String())
	}
}
