package openings

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
	recOpening  = "opening"  // its start command is about to run
	recOpen     = "open"     // its start command has ended
	recStopping = "stopping" // its stop command is about to run
	recFailed   = "failed"   // it has ended, and said that it did not close
	recEnded    = "ended"    // nothing is left to do
	recKeep     = "keep"     // a daemon that stops leaves its openings open
	recClose    = "close"    // a daemon that stops closes them (so without a record)
)

// record is one line of the journal.
type record struct {
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

// readableJSON is v as JSON for people: json.Marshal would write > and & as
// \u003e and \u0026. V is of a type that cannot fail.
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

// saved is an opening as the journal knows it.
type saved struct {
	id   uint64
	o    *Opening
	boot string
	wall string
	at   int64 // when its start command was about to run
	// openAt is when its start command had ended; 0: not yet, as far as known.
	openAt   int64
	stopping bool // its stop command may have run
}

// opening is the record that begins s.
func (s *saved) opening() record {
	o := s.o
	return record{
		Do: recOpening, ID: s.id, At: s.at, Boot: s.boot, Wall: s.wall,
		Door: rawText(o.Door.Name), Occurrence: o.Door.N, Addr: o.Addr, Host: rawText(o.Host),
		Timeout: int64(o.Timeout), Stop: rawText(o.Stop),
		IP: rawText(o.Vars.IP), Port: rawText(o.Vars.Port), Proto: rawText(o.Vars.Proto),
		Client: rawText(o.Vars.Client), Src: rawText(o.Vars.Src), Dst: rawText(o.Vars.Dst),
		Kind: rawText(o.Kind), What: rawText(o.What), Args: argumentsOf(o),
	}
}

// saved is what the first record of an opening says; ok is false if it cannot
// be known how to close it.
func (r *record) saved() (s *saved, ok bool) {
	args, ok := r.arguments()
	return &saved{
		id: r.ID, boot: r.Boot, wall: r.Wall, at: r.At,
		o: &Opening{
			Door: knock.DoorID{Name: string(r.Door), N: r.Occurrence}, Addr: r.Addr, Host: string(r.Host),
			Timeout: max(time.Duration(r.Timeout), 0), Stop: string(r.Stop),
			Vars: Vars{IP: string(r.IP), Door: string(r.Door), Port: string(r.Port), Proto: string(r.Proto),
				Client: string(r.Client), Src: string(r.Src), Dst: string(r.Dst)},
			Kind: string(r.Kind), What: string(r.What), Args: args,
		},
	}, ok
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends r's line to b.
func appendRecord(b []byte, r record) []byte {
	text := readableJSON(r)
	b = fmt.Appendf(b, "%08x ", crc32.Checksum(text, castagnoli))
	b = append(b, text...)
	return append(b, '\n')
}

// parseRecord reads a line, without its end.
func parseRecord(line []byte) (r record, ok bool) {
	sum, text, ok := bytes.Cut(line, []byte{' '})
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) {
		return record{}, false
	}
	return r, json.Unmarshal(text, &r) == nil
}

// replayed is what a journal says in the end.
type replayed struct {
	live    map[uint64]*saved
	lastID  uint64
	keep    bool
	size    int64 // up to the end of the last whole line
	damaged int   // whole lines that are not records
}

// replay reads a journal. A last line without an end was being written when
// the machine or the disk gave up: it does not count.
func replay(text []byte) replayed {
	p := replayed{live: map[uint64]*saved{}}
	for {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			return p
		}
		p.size += int64(len(line)) + 1
		text = rest
		if r, ok := parseRecord(line); !ok || !p.apply(&r) {
			p.damaged++
		}
	}
}

func (p *replayed) apply(r *record) bool {
	s := p.live[r.ID]
	switch r.Do {
	case recOpening:
		opening, ok := r.saved()
		if !ok {
			return false
		}
		p.live[r.ID] = opening
		p.lastID = max(p.lastID, r.ID)
	case recOpen:
		if s != nil {
			s.openAt = r.At
		}
	case recStopping:
		if s != nil {
			s.stopping = true
		}
	case recFailed:
		if s != nil {
			s.stopping = false
		}
	case recEnded:
		delete(p.live, r.ID)
	case recKeep:
		p.keep = true
	case recClose:
		p.keep = false
	default:
		return false
	}
	return true
}
