package eventlog

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSyslog(t *testing.T) {
	const path = "/dev/log"
	if _, err := os.Lstat(path); err == nil {
		t.Skip("a syslog daemon has " + path + " already")
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skip("needs root, to be the syslog daemon: ", err)
	}
	defer os.Remove(path)
	defer l.Close()
	s, err := OpenSyslog()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.WriteLine(time.Time{}, "192.0.2.1: ssh: OPEN SESAME"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	got := string(buf[:n])
	// <13> is user.notice: facility 1, severity 5 (RFC 3164, 4.1.1).
	if !strings.HasPrefix(got, "<13>") || !strings.Contains(got, " knockd[") ||
		!strings.HasSuffix(got, "]: 192.0.2.1: ssh: OPEN SESAME\n") {
		t.Errorf("%q is not a line of user.notice from knockd", got)
	}
}
