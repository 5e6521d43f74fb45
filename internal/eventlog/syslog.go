package eventlog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
	// Structured has lines in the format of RFC 5424, with the event's fields.
	Structured bool

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
	begin := s.begin(r.At, r.Event)
	for line := range strings.SplitSeq(r.Text, "\n") {
		if e := s.writeLine(begin+line, r.At); err == nil {
			err = e
		}
	}
	return err
}

// begin returns how the lines of an event begin.
func (s *Syslog) begin(at time.Time, e event.Event) string {
	if !s.Structured {
		return syslogPriority + at.Local().Format(time.Stamp) + syslogTag
	}
	var b strings.Builder
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, " \n") {
		host = "-"
	}
	fmt.Fprintf(&b, "%s1 %s %s knockd - %s [knockd@32473", syslogPriority, at.Format(rfc5424Time), host, msgID(event.Keyword(e)))
	for _, f := range event.Fields(e) {
		fmt.Fprintf(&b, ` %s="%s"`, f.Name, sdEscapes.Replace(fmt.Sprint(f.Value)))
	}
	b.WriteString("] ")
	return b.String()
}

// The time of RFC 5424, 6.2.3, what has to be escaped in its values (6.3.3; line
// ends would end the message), and the longest MSGID (6.2.7). The number behind
// knockd@ is the one that RFC 5612 keeps for those who have none.
const (
	rfc5424Time = "2006-01-02T15:04:05.000000Z07:00"
	maxMsgID    = 32
)

var sdEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`, "\n", " ", "\r", " ", "\x00", " ")

func msgID(keyword string) string { return keyword[:min(len(keyword), maxMsgID)] }

func (s *Syslog) writeLine(line string, at time.Time) error {
	if time.Now().Before(s.busy) {
		s.lost++
		return errSyslogBusy
	}
	if s.lost > 0 {
		lost := event.Lost{Lines: s.lost, Why: "syslog did not take them"}
		if s.send(s.begin(at, lost)+lost.Text()) == nil {
			s.lost = 0
		}
	}
	err := s.send(line)
	if err != nil {
		s.lost++
	}
	return err
}

// send sends a line, over another connection if this one is of no use.
func (s *Syslog) send(line string) error {
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
