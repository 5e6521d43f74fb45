package livetest

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

// nativeDoor is a door that needs no shell.
const nativeDoor = `
[options]
	LogFile = LOG
[ssh]
	sequence    = 7000,9000,8000
	seq_timeout = 10
	tcpflags    = syn
	open        = tcp/22
	cmd_timeout = %d
`

// openSite is a client and a server whose service anybody reaches who is not
// kept away by the guard.
func openSite(t testing.TB) (client, server *nettest.Host) {
	t.Helper()
	client, server = nettest.Pair(t)
	server.EchoTCP(":22")
	return client, server
}

func knockAt(t testing.TB, client *nettest.Host) {
	t.Helper()
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "9000", "8000")
}

// bothFamilies are the service's addresses.
var bothFamilies = []string{nettest.Server4 + ":22", "[" + nettest.Server6 + "]:22"}

func TestNativeDoor(t *testing.T) {
	t.Parallel()
	client, server := openSite(t)
	d := start(t, server, fmt.Sprintf(nativeDoor, 4))
	for i, c := range [][2]string{{nettest.Client4, nettest.Server4}, {nettest.Client6, nettest.Server6}} {
		shut(t, client, bothFamilies[i])
		syn(t, client, c[0], c[1], "7000", "9000", "8000")
		d.waitFor("ssh: opened tcp/22 for "+c[0]+" (4 s)", 1)
		conn, err := client.Dial("tcp", bothFamilies[i], nettest.Patience)
		if err != nil {
			t.Fatalf("%s after the knock: %v", bothFamilies[i], err)
		}
		defer conn.Close()
		d.waitFor("ssh: closed for "+c[0], 1)
		closes(t, client, bothFamilies[i])
		nettest.MustEcho(t, conn)
	}
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("status %d", status)
	}
	d.waitFor("the guard keeps closed: tcp/22", 1)
	shut(t, client, bothFamilies[0])
}

// TestNativeDoorEvents: what happens to an open door.
func TestNativeDoorEvents(t *testing.T) {
	t.Parallel()
	const service = nettest.Server4 + ":22"
	for name, event := range map[string]func(t *testing.T, d *daemon, server *nettest.Host){
		"reload": func(t *testing.T, d *daemon, _ *nettest.Host) {
			d.configure(fmt.Sprintf(nativeDoor, 600) + "[more]\n\tsequence = 1,2\n\topen = udp/53\n")
			d.reload(1)
		},
		"flushed by somebody": func(t *testing.T, d *daemon, server *nettest.Host) {
			server.Try("nft", "flush", "ruleset") // refused to all but the owner
		},
		"table deleted by somebody": func(t *testing.T, d *daemon, server *nettest.Host) {
			server.Try("nft", "delete", "table", "inet", "knockd")
		},
		"killed and started again": func(t *testing.T, d *daemon, server *nettest.Host) {
			d.stop(syscall.SIGKILL)
			again(d, server)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nettest.NeedProgram(t, "nft")
			client, server := openSite(t)
			d := start(t, server, fmt.Sprintf(nativeDoor, 600))
			knockAt(t, client)
			opens(t, client, service)
			event(t, d, server)
			opens(t, client, service)
			shut(t, client, bothFamilies[1])
		})
	}
}

// again starts the same daemon once more, beside its first one's state.
func again(d *daemon, server *nettest.Host) {
	next := &daemon{t: d.t, conf: d.conf, log: d.log, done: make(chan struct{})}
	next.run(server, exec.Command(d.cmd.Path, d.cmd.Args[1:]...))
	next.waitFor("starting up, listening on", 2)
}

// TestNativeAsNobody: without root, CAP_NET_RAW and CAP_NET_ADMIN are enough.
func TestNativeAsNobody(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	client, server := openSite(t)
	dir := nobodysDir(t)
	conf := strings.ReplaceAll(fmt.Sprintf(nativeDoor, 600), "LOG", dir+"/log")
	nettest.Write(t, dir+"/knockd.conf", strings.Replace(conf, "[ssh]", "\tStateDir = "+dir+"/state\n[ssh]", 1))
	const caps = "+net_raw,+net_admin"
	d := prepareCommand(t, server, dir+"/log", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"--inh-caps", "-all,"+caps, "--ambient-caps", caps, "--bounding-set", "-all,"+caps, "--no-new-privs",
		dir+"/knockd", "-c", dir+"/knockd.conf")
	d.waitFor("starting up, listening on eth0", 1)
	shut(t, client, bothFamilies[0])
	knockAt(t, client)
	opens(t, client, bothFamilies[0])
}
