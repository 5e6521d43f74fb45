package eventlog

import (
	"fmt"
	"io"
	"strings"
	"time"

	"knockd/internal/event"
	"knockd/internal/statefile"
)

// stamp is the time before each line of knockd 0.8's log file, local time.
const stamp = "[2006-01-02 15:04] "

// File is the log file.
type File struct {
	*statefile.Output
}

// OpenFile opens a log file to append to, making it if there is none. It may be
// a pipe or a terminal.
func OpenFile(path string) (*File, error) {
	o, err := statefile.Append(path)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	o.Missing = func(n int, why error) string { return time.Now().Format(stamp) + Lost(n, why) }
	return &File{o}, nil
}

// JSON returns the file as a sink of JSON lines in place of its own.
func (s *File) JSON() Sink {
	s.Missing = func(n int, why error) string {
		line := appendJSON(nil, NewRecord(time.Now(), event.Lost{Lines: n, Why: why.Error()}))
		return strings.TrimSuffix(string(line), "\n")
	}
	return JSON{s.Output}
}

// Lost returns the line in place of those that a file or pipe did not take.
func Lost(n int, why error) string { return event.Lost{Lines: n, Why: why.Error()}.Text() }

// Write implements Sink.
func (s *File) Write(r *Record) error { return Stamped{s.Output}.Write(r) }

// writeAll writes the events that are for the log at once, whole lines only to
// a call of write(2): other programs may append to the same file.
func (s *File) writeAll(records []Record) error {
	l := stamped{to: s.Output}
	for i := range records {
		if r := &records[i]; r.Event.Audience()&event.Log != 0 {
			l.add(r.At, r.Text)
		}
	}
	l.flush()
	return l.failed
}

// stamped gathers lines with their time, as the log file has them.
type stamped struct {
	to     io.Writer
	b      []byte
	prefix []byte
	second int64 // to which the prefix belongs
	failed error // the first time that lines could not be written
}

// begin returns what stands before each line of a time.
func (l *stamped) begin(at time.Time) []byte {
	if now := at.Unix(); now != l.second || l.prefix == nil {
		l.second, l.prefix = now, at.Local().AppendFormat(l.prefix[:0], stamp)
	}
	return l.prefix
}

// event adds the lines of an event.
func (l *stamped) event(at time.Time, e event.Event) {
	a, ok := e.(event.Appender)
	if !ok {
		l.add(at, e.Text())
		return
	}
	l.b = append(a.AppendText(append(l.b, l.begin(at)...)), '\n')
	if len(l.b) >= atOnce {
		l.flush()
	}
}

// add adds the lines of a text.
func (l *stamped) add(at time.Time, text string) {
	prefix := l.begin(at)
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		l.b = append(append(append(l.b, prefix...), line...), '\n')
	}
	if len(l.b) >= atOnce {
		l.flush()
	}
}

// flush writes what has gathered.
func (l *stamped) flush() {
	if len(l.b) == 0 {
		return
	}
	if _, err := l.to.Write(l.b); l.failed == nil {
		l.failed = err
	}
	l.b = l.b[:0]
}

// atOnce is about how many octets are written at once.
const atOnce = 32 << 10

// Stamped writes lines with their time, as the log file has them.
type Stamped struct{ W io.Writer }

// Write implements Sink.
func (s Stamped) Write(r *Record) error { return r.write(s.W, r.At.Local().Format(stamp)) }

// Plain writes lines without time, for a terminal or journald, which has its
// own.
type Plain struct{ W io.Writer }

// Write implements Sink.
func (s Plain) Write(r *Record) error { return r.write(s.W, "") }

// write writes the lines of an event.
func (r *Record) write(w io.Writer, prefix string) (err error) {
	for line := range strings.SplitSeq(r.Text, "\n") {
		if _, e := io.WriteString(w, prefix+line+"\n"); err == nil {
			err = e
		}
	}
	return err
}

// Both writes to two sinks: knockd 0.8 logs to file and syslog at once if
// both are asked for.
type Both struct{ A, B Sink }

// Write implements Sink.
func (s Both) Write(r *Record) error {
	err := s.A.Write(r)
	if err2 := s.B.Write(r); err == nil {
		err = err2
	}
	return err
}
