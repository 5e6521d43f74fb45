package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"knockd/internal/event"
)

// Journald writes to systemd's journal in its own protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL): the words of the log as MESSAGE, the
// keyword as KNOCKD_EVENT, the fields as KNOCKD_ and their names, and an id for
// each kind.
type Journald struct{ queue }

// OpenJournald begins to write. A journal that takes nothing is not waited for.
func OpenJournald() *Journald { return &Journald{newQueue(sendJournal)} }

// send is go-systemd's, which waits for the journal. Tests have another.
var send = journal.Send

func sendJournal(r *Record) error {
	priority, fields := journalEntry(r.Event)
	return send(r.Text, priority, fields)
}

// journalEntry returns the priority of an event and its fields.
func journalEntry(e event.Event) (journal.Priority, map[string]string) {
	keyword := event.Keyword(e)
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": "knockd", "MESSAGE_ID": MessageID(keyword), "KNOCKD_EVENT": keyword,
	}
	for _, f := range event.Fields(e) {
		name := strings.ToUpper(f.Name)
		if f.Name == "peer" {
			name = "ADDRESS"
		}
		fields["KNOCKD_"+name] = fmt.Sprint(f.Value)
	}
	switch to := e.Audience(); {
	case to&event.Terminal != 0:
		return journal.PriWarning, fields
	case to&event.Limited != 0:
		return journal.PriInfo, fields
	}
	return journal.PriNotice, fields
}

// MessageID returns the journal's id of events with a keyword: 128 bits in
// hexadecimal, the first of SHA-256 of "knockd " and the keyword.
func MessageID(keyword string) string {
	sum := sha256.Sum256([]byte("knockd " + keyword))
	return hex.EncodeToString(sum[:16])
}
