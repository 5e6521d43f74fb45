package eventlog

import "knockd/internal/event"

// text is an event that was made as text.
type text struct {
	string
	to event.Audience
}

func (t text) Text() string             { return t.string }
func (t text) Audience() event.Audience { return t.to }

// Text is an event that was made as text.
func Text(s string) event.Event { return text{s, event.Log} }

// Log writes a line that is never left out.
func (l *Log) Log(s string) { l.Event(text{s, event.Log | event.Verbose}) }

// Quiet writes a line that -v does not show.
func (l *Log) Quiet(s string) { l.Event(text{s, event.Log}) }

// Warn writes a line to the log and to standard error.
func (l *Log) Warn(s string) { l.Event(text{s, event.Log | event.Terminal}) }

// Chat says something to those who watch.
func (l *Log) Chat(s string) { l.Event(text{s, event.Debug}) }

// StrangerFunc writes a line that strangers can cause, if it may be written.
func (l *Log) StrangerFunc(make func() string) {
	if l.Allows() {
		l.Event(text{make(), event.Log | event.Verbose | event.Limited})
	}
}
