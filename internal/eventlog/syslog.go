package eventlog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"knockd/internal/event"
)

// The local syslog daemon, and how a line to it begins: priority daemon.notice
// (facility 3, severity 5; RFC 3164, 4.1.1), time, and the tag without a
// process number, as in the knockd 0.8 that Debian ships. log/syslog always
// writes the number.
const (
	syslogSocket   = "/dev/log"
	syslogPriority = "<29>"
	syslogTag      = " knockd: "
)

// A syslog daemon that takes nothing is waited for only for so long, and left
// alone for a while then: the log file is written by the same goroutine.
const (
	syslogPatience = time.Second
	syslogPause    = 10 * time.Second
)

// errSyslogBusy says that a line was not offered to a syslog daemon that took
// no other one shortly before.
var errSyslogBusy = errors.New("syslog takes no lines")

// Syslog writes to the system's log. It connects again, as syslog(3), when the
// daemon behind the socket was started later or anew.
type Syslog struct {
	path string
	conn net.Conn // nil: not connected
	end  string   // of a line
	lost int      // lines that were not taken, and not told of yet
	busy time.Time
}

// OpenSyslog connects to the local syslog daemon. What it returns beside an
// error connects when the daemon is there.
func OpenSyslog() (*Syslog, error) { return openSyslog(syslogSocket) }

func openSyslog(path string) (*Syslog, error) {
	s := &Syslog{path: path}
	if err := s.connect(); err != nil {
		return s, fmt.Errorf("connect to syslog: %w", err)
	}
	return s, nil
}

// connect connects to a socket of datagrams or, where there is none, of a
// stream of texts that end in NUL, as syslog(3).
func (s *Syslog) connect() (err error) {
	s.Close()
	if s.conn, err = net.Dial("unixgram", s.path); err == nil {
		s.end = ""
		return nil
	}
	var streamErr error
	if s.conn, streamErr = net.DialTimeout("unix", s.path, syslogPatience); streamErr == nil {
		s.end = "\x00"
		return nil
	}
	s.conn = nil
	return err
}

// Write implements Sink. Each line is a message of its own.
func (s *Syslog) Write(r *Record) (err error) {
	for line := range strings.SplitSeq(r.Text, "\n") {
		if e := s.writeLine(r.At, line); err == nil {
			err = e
		}
	}
	return err
}

func (s *Syslog) writeLine(at time.Time, text string) error {
	if time.Now().Before(s.busy) {
		s.lost++
		return errSyslogBusy
	}
	if s.lost > 0 && s.send(at, event.Lost{Lines: s.lost, Why: "syslog did not take them"}.Text()) == nil {
		s.lost = 0
	}
	err := s.send(at, text)
	if err != nil {
		s.lost++
	}
	return err
}

// send sends a line, over another connection if this one is of no use.
func (s *Syslog) send(at time.Time, text string) error {
	line := syslogPriority + at.Local().Format(time.Stamp) + syslogTag + text
	err := s.offer(line)
	if err != nil && time.Now().After(s.busy) {
		if err = s.connect(); err == nil {
			err = s.offer(line)
		}
	}
	return err
}

func (s *Syslog) offer(line string) error {
	if s.conn == nil {
		return net.ErrClosed
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(syslogPatience)); err != nil {
		return err
	}
	_, err := io.WriteString(s.conn, line+s.end)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		s.busy = time.Now().Add(syslogPause)
	}
	return err
}

// Close closes the connection.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
