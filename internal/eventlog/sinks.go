package eventlog

import (
	"fmt"
	"io"
	"time"

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

// Lost is the line in place of those that a file or pipe did not take.
func Lost(n int, why error) string { return fmt.Sprintf("%d lines lost: %v", n, why) }

// WriteLine implements Sink.
func (s *File) WriteLine(at time.Time, text string) error {
	return Stamped{s}.WriteLine(at, text)
}

// writeLines writes the lines that are for the log at once, whole ones only to
// a call of write(2): other programs may append to the same file.
func (s *File) writeLines(lines []line) error {
	var b, prefix []byte
	var second int64 // to which the prefix belongs
	var failed error
	flush := func() {
		if len(b) == 0 {
			return
		}
		if _, err := s.Write(b); failed == nil {
			failed = err
		}
		b = b[:0]
	}
	for _, n := range lines {
		if n.to&toLog == 0 {
			continue
		}
		if now := n.at.Unix(); now != second || prefix == nil {
			second, prefix = now, n.at.Local().AppendFormat(prefix[:0], stamp)
		}
		b = append(append(append(b, prefix...), n.text...), '\n')
		if len(b) >= atOnce {
			flush()
		}
	}
	flush()
	return failed
}

// atOnce is about how many octets are written at once.
const atOnce = 32 << 10

// Stamped writes lines with their time, as the log file has them.
type Stamped struct{ W io.Writer }

// WriteLine implements Sink.
func (s Stamped) WriteLine(at time.Time, text string) error {
	_, err := io.WriteString(s.W, at.Local().Format(stamp)+text+"\n")
	return err
}

// Plain writes lines without time, for a terminal or the journal, which has
// its own.
type Plain struct{ W io.Writer }

// WriteLine implements Sink.
func (s Plain) WriteLine(_ time.Time, text string) error {
	_, err := io.WriteString(s.W, text+"\n")
	return err
}

// Both writes to two sinks: knockd 0.8 logs to file and syslog at once if
// both are asked for.
type Both struct{ A, B Sink }

// WriteLine implements Sink.
func (s Both) WriteLine(at time.Time, text string) error {
	err := s.A.WriteLine(at, text)
	if err2 := s.B.WriteLine(at, text); err == nil {
		err = err2
	}
	return err
}
