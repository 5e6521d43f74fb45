package eventlog

import (
	"fmt"
	"io"
	"os"
	"time"
)

// stamp is the time before each line of knockd 0.8's log file, local time.
const stamp = "[2006-01-02 15:04] "

// File is the log file.
type File struct {
	f *os.File
}

// OpenFile opens a log file to append to, making it if there is none.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return &File{f}, nil
}

// WriteLine implements Sink.
func (s *File) WriteLine(at time.Time, text string) error {
	return Stamped{s.f}.WriteLine(at, text)
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
		if _, err := s.f.Write(b); failed == nil {
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

// Close closes the file.
func (s *File) Close() error { return s.f.Close() }

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
