package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"
	"unicode/utf8"

	"knockd/internal/knock"
)

// The journal is lines of text: a checksum, a space, a JSON object. Each line
// says one thing about one opening (or about the daemon's will); later lines
// add to earlier ones.
const (
	doOpening  = "opening"  // its start command is about to run
	doOpen     = "open"     // its start command has ended
	doStopping = "stopping" // its stop command is about to run
	doFailed   = "failed"   // it has ended, and said that it did not close
	doEnded    = "ended"    // nothing is left to do
	doKeep     = "keep"     // a daemon that stops leaves its openings open
	doClose    = "close"    // a daemon that stops closes them (so without a record)
)

// line is one line of the journal.
type line struct {
	Do string `json:"do"`
	ID uint64 `json:"id,omitempty"`
	// At is CLOCK_BOOTTIME in nanoseconds; it counts on during suspend and
	// means something only under the same Boot.
	At   int64  `json:"at,omitempty"`
	Boot string `json:"boot,omitempty"` // /proc/sys/kernel/random/boot_id
	Wall string `json:"wall,omitempty"` // RFC 3339, for people only

	Door       rawText    `json:"door,omitempty"`
	Occurrence int        `json:"occurrence,omitempty"`
	Addr       netip.Addr `json:"addr,omitzero"`
	Host       rawText    `json:"host,omitempty"`
	Timeout    int64      `json:"timeout,omitempty"` // nanoseconds
	Stop       rawText    `json:"stop,omitempty"`
	IP         rawText    `json:"ip,omitempty"`
	Port       rawText    `json:"port,omitempty"`
	Proto      rawText    `json:"proto,omitempty"`
	Client     rawText    `json:"client,omitempty"`
	Src        rawText    `json:"src,omitempty"`
	Dst        rawText    `json:"dst,omitempty"`
	Kind       rawText    `json:"kind,omitempty"`
	What       rawText    `json:"what,omitempty"`
	Args       *arguments `json:"args,omitempty"`
	UID        *uint32    `json:"uid,omitempty"`
	Data       rawText    `json:"data,omitempty"` // in place of Args, of builds that knew none
}

// rawText is text of the configuration: any bytes. JSON strings hold only
// UTF-8, so other text is written as {"base64": "..."}.
type rawText string

type base64Text struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t rawText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return readableJSON(string(t)), nil
	}
	return readableJSON(base64Text{[]byte(t)}), nil
}

// readableJSON returns v as JSON for people: json.Marshal would write > and &
// as \u003e and \u0026. V is of a type that cannot fail.
func readableJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *rawText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var bin base64Text
		err := json.Unmarshal(b, &bin)
		*t = rawText(bin.Base64)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}

// Opening is an opening as the journal knows it.
type Opening struct {
	ID uint64
	knock.Opening
	// SameBoot: the machine has not been started since.
	SameBoot bool
	// Begun is when its start command was about to run, on CLOCK_BOOTTIME in
	// nanoseconds, and Opened when that had ended; 0: not yet, as far as known.
	Begun, Opened int64
	Stopping      bool // its stop command may have run
	boot, wall    string
}

// Remaining returns the time until it closes. It is never more than it was at
// first: a clock that went back (of a machine that was moved) keeps no door
// open.
func (o *Opening) Remaining(now time.Time) time.Duration {
	from := o.Opened
	if from == 0 { // its start command did not end by itself
		from = o.Begun
	}
	return min(time.Unix(0, from).Add(o.Timeout).Sub(now), o.Timeout)
}

// line returns the line that begins o.
func (o *Opening) line() line {
	v, kind := &o.Vars, o.Action
	if kind == command {
		kind = ""
	}
	return line{
		Do: doOpening, ID: o.ID, At: o.Begun, Boot: o.boot, Wall: o.wall,
		Door: rawText(o.Door.Name), Occurrence: o.Door.N, Addr: o.Addr, Host: rawText(o.Host),
		Timeout: int64(o.Timeout), Stop: rawText(o.Args.Stop),
		IP: rawText(v.IP), Port: rawText(v.Port), Proto: rawText(v.Proto),
		Client: rawText(v.Client), Src: rawText(v.Src), Dst: rawText(v.Dst),
		Kind: rawText(kind), What: rawText(o.What), Args: argumentsOf(&o.Opening), UID: o.UID,
	}
}

// opening returns what the first line of an opening says; ok is false if it
// cannot be known how to close it.
func (l *line) opening() (o *Opening, ok bool) {
	args, ok := l.arguments()
	args.Version, args.Stop = 1, string(l.Stop)
	action := string(l.Kind)
	if action == "" {
		action = command
	}
	return &Opening{
		ID: l.ID, boot: l.Boot, wall: l.Wall, Begun: l.At,
		Opening: knock.Opening{
			Door: knock.DoorID{Name: string(l.Door), N: l.Occurrence}, Addr: l.Addr, Host: string(l.Host),
			Timeout: max(time.Duration(l.Timeout), 0), Action: action, What: string(l.What), Args: args, UID: l.UID,
			Vars: knock.Vars{
				IP: string(l.IP), Door: string(l.Door), Port: string(l.Port), Proto: string(l.Proto),
				Client: string(l.Client), Src: string(l.Src), Dst: string(l.Dst),
			},
		},
	}, ok
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendLine appends l's text to b.
func appendLine(b []byte, l line) []byte {
	text := readableJSON(l)
	b = fmt.Appendf(b, "%08x ", crc32.Checksum(text, castagnoli))
	b = append(b, text...)
	return append(b, '\n')
}

// parseLine reads a line, without its end.
func parseLine(b []byte) (l line, ok bool) {
	sum, text, ok := bytes.Cut(b, []byte{' '})
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) {
		return line{}, false
	}
	return l, json.Unmarshal(text, &l) == nil
}

// replayed is what a journal says in the end.
type replayed struct {
	live    map[uint64]*Opening
	lastID  uint64
	keep    bool
	size    int64 // up to the end of the last whole line
	damaged int   // whole lines that are not records
}

// replay reads a journal. A last line without an end was being written when
// the machine or the disk gave up: it does not count.
func replay(text []byte) replayed {
	p := replayed{live: map[uint64]*Opening{}}
	for {
		b, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			return p
		}
		p.size += int64(len(b)) + 1
		text = rest
		if l, ok := parseLine(b); !ok || !p.apply(&l) {
			p.damaged++
		}
	}
}

func (p *replayed) apply(l *line) bool {
	o := p.live[l.ID]
	switch l.Do {
	case doOpening:
		o, ok := l.opening()
		if !ok {
			return false
		}
		p.live[l.ID] = o
		p.lastID = max(p.lastID, l.ID)
	case doOpen:
		if o != nil {
			o.Opened = l.At
		}
	case doStopping:
		if o != nil {
			o.Stopping = true
		}
	case doFailed:
		if o != nil {
			o.Stopping = false
		}
	case doEnded:
		delete(p.live, l.ID)
	case doKeep:
		p.keep = true
	case doClose:
		p.keep = false
	default:
		return false
	}
	return true
}
