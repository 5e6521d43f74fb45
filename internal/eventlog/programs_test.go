package eventlog

import (
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"

	"knockd/internal/event"
	"knockd/internal/knock"
)

var (
	failedAt = time.Date(2026, 11, 28, 9, 34, 21, 123456789, time.UTC)
	failed   = event.AttemptFailed{Door: knock.DoorID{Name: "ssh", N: 2}, Knocker: event.Knocker{Addr: netip.MustParseAddr("192.0.2.7")},
		Stage: 2, Of: knock.DoorID{Name: "ssh", N: 2}}
)

// TestJSON: a line an event, whatever the log says of it.
func TestJSON(t *testing.T) {
	var b strings.Builder
	for _, e := range []event.Event{failed, event.ReloadRefused{Err: errors.New("a:1: x\na:2: \"y\"")}, event.Stopped{}} {
		if err := (JSON{&b}).Write(NewRecord(failedAt, e)); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"time":"2026-11-28T09:34:21.123456789Z","event":"ATTEMPT_FAILED","door":"ssh#2","peer":"192.0.2.7","proof":"none","stage":2,"of":"ssh#2","reason":"wrong-step","text":"192.0.2.7: ssh: attempt failed after stage 2: hit a port of ssh out of order"}
{"time":"2026-11-28T09:34:21.123456789Z","event":"RELOAD_REFUSED","error":"a:1: x\na:2: \"y\"","text":"a:1: x\na:2: \"y\"\nconfiguration not changed"}
{"time":"2026-11-28T09:34:21.123456789Z","event":"STOPPED","text":"shutting down"}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for line := range strings.Lines(b.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// TestJournald: the entry has the words, the keyword, the fields and the id.
func TestJournald(t *testing.T) {
	priority, fields := journalEntry(failed)
	want := map[string]string{
		"SYSLOG_IDENTIFIER": "knockd", "MESSAGE_ID": MessageID("ATTEMPT_FAILED"), "KNOCKD_EVENT": "ATTEMPT_FAILED", "KNOCKD_DOOR": "ssh#2",
		"KNOCKD_ADDRESS": "192.0.2.7", "KNOCKD_PROOF": "none", "KNOCKD_STAGE": "2", "KNOCKD_OF": "ssh#2", "KNOCKD_REASON": "wrong-step",
	}
	if diff := cmp.Diff(want, fields); diff != "" || priority != journal.PriInfo {
		t.Errorf("priority %d (-want +got)\n%s", priority, diff)
	}
	if id := MessageID("STAGE"); id != "23e980dd0a5431167ff4dc3a8292022a" {
		t.Errorf("id %s", id)
	}
	for e, want := range map[event.Event]journal.Priority{event.Stopped{}: journal.PriNotice, event.LeftOpen{}: journal.PriWarning} {
		if got, _ := journalEntry(e); got != want {
			t.Errorf("%T has priority %d, want %d", e, got, want)
		}
	}
}

// TestJournaldHangs: a journal that takes nothing holds up nobody.
func TestJournaldHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken, go1 := make(chan string, 2*queueLength), make(chan struct{})
		send = func(text string, _ journal.Priority, _ map[string]string) error {
			<-go1
			taken <- text
			return nil
		}
		defer func() { send = journal.Send }()
		s := OpenJournald()
		lost := 0
		for range 2 * queueLength {
			if s.Write(NewRecord(failedAt, failed)) != nil {
				lost++
			}
		}
		if lost < queueLength-1 || lost > queueLength {
			t.Errorf("%d lost of %d", lost, 2*queueLength)
		}
		begin := time.Now()
		if err := s.Close(); err == nil || time.Since(begin) != syslogPatience {
			t.Errorf("closed after %v: %v", time.Since(begin), err)
		}
		close(go1)
		synctest.Wait()
		if len(taken) != 2*queueLength-lost {
			t.Errorf("%d were taken", len(taken))
		}
	})
}

// TestSyslogStructured: RFC 5424, with the fields of the event; what strangers
// could write ends no value.
func TestSyslogStructured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := syslogd(t, path)
	s, err := openSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Structured = true
	if err := s.Write(NewRecord(failedAt, failed)); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(received(t, l))
	got[2] = "HOST"
	const want = `<29>1 2026-11-28T09:34:21.123456Z HOST knockd - ATTEMPT_FAILED [knockd@32473 door="ssh#2" peer="192.0.2.7" proof="none" stage="2" of="ssh#2" reason="wrong-step"] 192.0.2.7: ssh: attempt failed after stage 2: hit a port of ssh out of order`
	if strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := s.Write(NewRecord(failedAt, event.Finding{Finding: "a]\"b\\\nc"})); err != nil {
		t.Fatal(err)
	}
	if got := received(t, l); !strings.Contains(got, `finding="a\]\"b\\ c"] a]"b\`) {
		t.Errorf("%q", got)
	}
}

// TestPrograms: they get what is for the log and what is for nobody else, and
// nothing of what -D says.
func TestPrograms(t *testing.T) {
	var log, programs memory
	l := New(Outputs{Log: &log, Programs: []Sink{&programs}}, 10)
	for _, e := range []said{{"a", notice}, {"b", event.Verbose | event.Limited}, {"c", event.Debug}, {"d", 0}} {
		l.Event(e)
	}
	l.Close()
	if want := []string{"a", "b", "d"}; !slices.Equal(programs.lines, want) || !slices.Equal(log.lines, []string{"a"}) {
		t.Errorf("programs got %q, the log %q", programs.lines, log.lines)
	}
}
