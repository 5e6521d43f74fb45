package eventlog

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// syslogd listens where programs look for a syslog daemon.
func syslogd(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// received is the next line that the syslog daemon gets.
func received(t *testing.T, l net.Conn) string {
	t.Helper()
	buf := make([]byte, 1000)
	l.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// TestSyslog: each line is a datagram, byte for byte as the knockd 0.8 of
// Debian sends it.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := syslogd(t, path)
	s, err := openSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 28, 9, 34, 21, 0, time.Local): "<29>Nov 28 09:34:21 knockd: 192.0.2.1: ssh: OPEN SESAME",
		time.Date(2026, 3, 2, 19, 4, 5, 0, time.Local):    "<29>Mar  2 19:04:05 knockd: 192.0.2.1: ssh: OPEN SESAME",
	} {
		if err := s.Write(NewRecord(at, said{"192.0.2.1: ssh: OPEN SESAME", notice})); err != nil {
			t.Fatal(err)
		}
		if got := received(t, l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSyslogStream: where the socket is a stream lines end in NUL.
func TestSyslogStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := openSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := s.Write(NewRecord(time.Now(), said{"a", notice})); err != nil {
		t.Fatal(err)
	}
	if got := received(t, conn); !strings.HasSuffix(got, " knockd: a\x00") {
		t.Errorf("%q", got)
	}
}

// TestSyslogLate: a syslog daemon that starts late, or anew, gets the lines
// from then on.
func TestSyslogLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s, err := openSyslog(path)
	if want := "connect to syslog: dial unixgram " + path + ": connect: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	defer s.Close()
	if s.Write(NewRecord(time.Now(), said{"too early", notice})) == nil {
		t.Error("nobody there, and no error")
	}
	for _, want := range []string{"late", "anew"} {
		l := syslogd(t, path)
		if err := s.Write(NewRecord(time.Now(), said{want, notice})); err != nil {
			t.Error(err)
		}
		got := received(t, l)
		if want == "late" {
			if !strings.HasSuffix(got, " knockd: 1 lines lost: syslog did not take them") {
				t.Errorf("%q does not say what was lost", got)
			}
			got = received(t, l)
		}
		if !strings.HasSuffix(got, " knockd: "+want) {
			t.Errorf("%q, want %q", got, want)
		}
		l.Close()
		os.Remove(path)
	}
}

// TestSyslogHangs: a syslog daemon that does not read holds up nothing else for
// long, and gets a count of what it has missed.
func TestSyslogHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := syslogd(t, path)
	s, err := openSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	begin, n := time.Now(), 0
	for s.Write(NewRecord(time.Now(), said{"x", notice})) == nil && n < 1e6 {
		n++
	}
	for range 100 {
		s.Write(NewRecord(time.Now(), said{"x", notice}))
	}
	if took := time.Since(begin); took > syslogPause {
		t.Errorf("101 lines that nobody takes took %v", took)
	}
	for range n {
		received(t, l)
	}
	s.busy = time.Time{}
	if err := s.Write(NewRecord(time.Now(), said{"y", notice})); err != nil {
		t.Fatal(err)
	}
	if got := received(t, l); !regexp.MustCompile(` 101 lines lost: syslog did not take them$`).MatchString(got) {
		t.Errorf("%q does not say what was lost", got)
	}
	if got := received(t, l); !strings.HasSuffix(got, " knockd: y") {
		t.Errorf("%q, want y", got)
	}
}
