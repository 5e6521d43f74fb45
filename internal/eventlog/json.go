package eventlog

import (
	"encoding/json"
	"io"
	"time"

	"knockd/internal/event"
)

// JSON writes events for programs: a line an event, an object with the time
// (RFC 3339, UTC, nanoseconds), the keyword, its fields and the words of the log.
type JSON struct{ W io.Writer }

// Write implements Sink.
func (s JSON) Write(r *Record) error {
	_, err := s.W.Write(appendJSON(nil, r))
	return err
}

// appendJSON appends the line of an event, its end included.
func appendJSON(b []byte, r *Record) []byte {
	b = append(b, `{"time":"`...)
	b = r.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendMember(b, "event", event.Keyword(r.Event))
	for _, f := range event.Fields(r.Event) {
		b = appendMember(b, f.Name, f.Value)
	}
	b = appendMember(b, "text", r.Text)
	return append(b, "}\n"...)
}

func appendMember(b []byte, name string, value any) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	text, err := json.Marshal(value)
	if err != nil { // no string, number or truth value is refused
		panic(err)
	}
	return append(b, text...)
}
