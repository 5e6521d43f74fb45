package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRecorder: a Recorder writes what Stamped writes, line by line.
func TestRecorder(t *testing.T) {
	var want, got strings.Builder
	at := time.Date(2026, 11, 28, 9, 34, 21, 0, time.Local)
	r := NewRecorder(&got)
	for i := range 3 * recorded {
		e := said{text: fmt.Sprintf("line %d\nand its second half", i), to: limited}
		r.Event(at, e)
		if err := (Stamped{&want}).Write(NewRecord(at, e)); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			r.Flush()
		}
		at = at.Add(7 * time.Second)
	}
	if err := r.Close(); err != nil || got.String() != want.String() {
		t.Errorf("%v, %d octets, want %d", err, got.Len(), want.Len())
	}
}

// fullDisk takes nothing.
type fullDisk struct{ writes int }

var errFullDisk = errors.New("the disk is full")

func (d *fullDisk) Write([]byte) (int, error) {
	d.writes++
	return 0, fmt.Errorf("write %d: %w", d.writes, errFullDisk)
}

// TestRecorderFails: a Recorder goes on, and says at the end what went wrong first.
func TestRecorderFails(t *testing.T) {
	r := NewRecorder(&fullDisk{})
	for range 3 * recorded {
		r.Event(time.Now(), said{text: "line", to: limited})
	}
	if err := r.Close(); !errors.Is(err, errFullDisk) || err.Error() != "write 1: the disk is full" {
		t.Error(err)
	}
}

// TestRecorderHandsOver: what was flushed is written before anything else comes.
func TestRecorderHandsOver(t *testing.T) {
	lines := make(chan string)
	r := NewRecorder(writerFunc(func(p []byte) { lines <- string(p) }))
	for _, text := range []string{"one", "two"} {
		r.Event(time.Now(), said{text: text, to: limited})
		r.Flush()
		if got := <-lines; !strings.HasSuffix(got, "] "+text+"\n") {
			t.Errorf("%q", got)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
