// Package event is what happened, as values, and knockd's words for each kind.
// A value is made where it happens, by the room that knows it; the log, and
// whoever else listens, makes text of it at the very edge.
//
// No value holds a step, a sequence, a key or a message: a door is named by its
// knock.DoorID. A new kind is a type with a Text method, in the file of the room
// that makes it, and a row in the table of the test.
package event

// Event is one thing that happened.
type Event interface {
	// Text returns the words of knockd's log, without time and line end: one
	// line or, with newlines between them, several.
	Text() string
	// Audience says who is to read of events of this kind.
	Audience() Audience
}

// Appender is an Event of which floods make many: whoever wants its text need not
// have it made anew each time.
type Appender interface {
	// AppendText appends what Text returns, which is one line.
	AppendText(b []byte) []byte
}

// Audience is a set of readers.
type Audience uint8

const (
	Log      Audience = 1 << iota // the log: file, syslog or standard error
	Verbose                       // standard output, with -v
	Terminal                      // standard error, beside the log
	Debug                         // standard output alone, and left out while nobody reads
	// Limited: anybody who can send a packet can cause it, so beyond a rate it
	// is left out.
	Limited
)

// Each kind embeds one of these.
type (
	notice  struct{} // the usual kind
	limited struct{} // what strangers cause
	warning struct{} // what somebody should look at
	logOnly struct{} // what -v says in other words, or not
	debug   struct{} // what goes on, for -v and -D
	silent  struct{} // what those are told who listen on the control socket
)

func (notice) Audience() Audience  { return Log | Verbose }
func (limited) Audience() Audience { return Log | Verbose | Limited }
func (warning) Audience() Audience { return Log | Terminal }
func (logOnly) Audience() Audience { return Log }
func (debug) Audience() Audience   { return Debug }
func (silent) Audience() Audience  { return 0 }

// Texts returns the words of some events.
func Texts(events []Event) (texts []string) {
	for _, e := range events {
		texts = append(texts, e.Text())
	}
	return texts
}
