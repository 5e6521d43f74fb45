package livetest

import (
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestSyslogLines: with UseSyslog each line is a datagram to /dev/log, as the
// knockd 0.8 of Debian sends it. The daemon sees a /dev of its own.
func TestSyslogLines(t *testing.T) {
	nettest.NeedProgram(t, "unshare", "mount")
	t.Parallel()
	client, server := nettest.Pair(t)
	dir := t.TempDir()
	dev := dir + "/dev"
	if err := os.Mkdir(dev, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dev+"/null", "")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dev + "/log", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write(t, dir+"/knockd.conf", "[options]\n\tUseSyslog\n\tStateDir = "+dir+"/state\n[openSSH]\n\tsequence = 7000,8000\n\tcommand = true %IP%\n\ttcpflags = syn\n")
	prepareCommand(t, server, dir+"/log", "unshare", "--mount", "sh", "-c",
		"mount --bind /dev/null "+dev+"/null && mount --rbind "+dev+" /dev && exec "+program(t, "knockd")+" -c "+dir+"/knockd.conf")
	line := func(text string) {
		t.Helper()
		buf := make([]byte, 1000)
		l.SetReadDeadline(time.Now().Add(patience))
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^<29>[A-Z][a-z][a-z] [ 1-3]\d \d\d:\d\d:\d\d knockd: ` + text + `$`).Match(buf[:n]) {
			t.Errorf("%q, want %s", buf[:n], text)
		}
	}
	line("starting up, listening on eth0")
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000")
	for _, text := range []string{"openSSH: Stage 1", "openSSH: Stage 2", "openSSH: OPEN SESAME"} {
		line(regexp.QuoteMeta(nettest.Client4) + ": " + text)
	}
	line("openSSH: running command: true " + regexp.QuoteMeta(nettest.Client4))
}
