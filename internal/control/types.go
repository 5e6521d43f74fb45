package control

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Interface types: see the interface file for what each field means. Fields
// that it calls nullable are left out of JSON while they are zero.

// ListenedOn is an interface that is listened on or waited for.
type ListenedOn struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Since     time.Time    `json:"since,omitzero"`
}

// Count is how many there are now and how many there were.
type Count struct {
	Current int    `json:"current"`
	Total   uint64 `json:"total"`
}

// LastReload is the last reload and its outcome.
type LastReload struct {
	At     time.Time `json:"at"`
	Taken  bool      `json:"taken"`
	Faults []string  `json:"faults,omitempty"`
}

// Firewall is the native firewall and its health.
type Firewall struct {
	Mode  string `json:"mode"` // config.NftMode
	Table string `json:"table"`
	Fault string `json:"fault,omitempty"`
}

// Confinement is what the process may do.
type Confinement struct {
	User            string   `json:"user"`
	Capabilities    []string `json:"capabilities,omitzero"`
	NoNewPrivileges bool     `json:"no_new_privileges"`
}

// The names of limits.
const (
	LimitOpenings = "openings"
	LimitAttempts = "attempts"
	LimitLogLines = "log_lines"
	LimitMessages = "messages"
)

// Limit is a bound and how often it was reached.
type Limit struct {
	Name    string    `json:"name"`
	Limit   int       `json:"limit,omitempty"`
	Reached uint64    `json:"reached"`
	Last    time.Time `json:"last,omitzero"`
}

// Attempt is an attempt in progress.
type Attempt struct {
	Door    string     `json:"door"`
	Address netip.Addr `json:"address"`
	Stage   int        `json:"stage"`
	Stages  int        `json:"stages"`
	Since   time.Time  `json:"since"`
	Expires time.Time  `json:"expires"`
}

// Hits are what hits came to.
type Hits struct {
	Attempts        Count  `json:"attempts"`
	Failed          uint64 `json:"failed"`
	Expired         uint64 `json:"expired"`
	RefusedMessages uint64 `json:"refused_messages"`
	IgnoredSources  uint64 `json:"ignored_sources"`
	DroppedPackets  uint64 `json:"dropped_packets"`
}

// The kinds of doors.
const (
	KindSequence = "sequence"
	KindOneTime  = "one_time"
	KindKeys     = "keys"
)

// Door is a door as it is configured, and what became of it.
type Door struct {
	Door       string         `json:"door"`
	Kind       string         `json:"kind"`
	Disabled   bool           `json:"disabled"`
	Opens      []string       `json:"opens"`
	Commands   bool           `json:"commands"`
	Timeout    Seconds        `json:"timeout,omitzero"`
	Openings   Count          `json:"openings"`
	Last       time.Time      `json:"last,omitzero"`
	Steps      int            `json:"steps,omitempty"`
	SeqTimeout Seconds        `json:"seq_timeout,omitzero"`
	Allow      []netip.Prefix `json:"allow,omitempty"`
	Deny       []netip.Prefix `json:"deny,omitempty"`
	Failed     uint64         `json:"failed,omitempty"`
}

// The states of openings.
const (
	StateOpening = "opening"
	StateOpen    = "open"
	StateClosing = "closing"
)

// By whom a door was opened.
const (
	ByKnock    = "knock"
	ByMessage  = "message"
	ByOperator = "operator"
)

// Opening is a door that is open for an address.
type Opening struct {
	Door    string     `json:"door"`
	Address netip.Addr `json:"address"`
	Host    string     `json:"host,omitempty"`
	For     string     `json:"for"`
	What    string     `json:"what,omitempty"`
	State   string     `json:"state"`
	Since   time.Time  `json:"since,omitzero"`
	Left    *Seconds   `json:"left,omitempty"`
	By      string     `json:"by"`
	Client  string     `json:"client,omitempty"`
	UID     *uint32    `json:"uid,omitempty"`
	Fault   string     `json:"fault,omitempty"`
}

// Visit is an opening of the past or of now.
type Visit struct {
	Door    string     `json:"door"`
	Address netip.Addr `json:"address"`
	Host    string     `json:"host,omitempty"`
	For     string     `json:"for"`
	What    string     `json:"what,omitempty"`
	By      string     `json:"by"`
	Client  string     `json:"client,omitempty"`
	UID     *uint32    `json:"uid,omitempty"`
	Opened  time.Time  `json:"opened"`
	Closed  time.Time  `json:"closed,omitzero"`
	Why     string     `json:"why,omitempty"`
}

// Event is something that happened.
type Event struct {
	At        time.Time  `json:"at"`
	Kind      EventKind  `json:"kind"`
	Text      string     `json:"text"`
	Door      string     `json:"door,omitempty"`
	Address   netip.Addr `json:"address,omitzero"`
	Host      string     `json:"host,omitempty"`
	For       string     `json:"for,omitempty"`
	What      string     `json:"what,omitempty"`
	Timeout   Seconds    `json:"timeout,omitzero"`
	Why       string     `json:"why,omitempty"`
	Client    string     `json:"client,omitempty"`
	Interface string     `json:"interface,omitempty"`
	UID       *uint32    `json:"uid,omitempty"`
	Stage     int        `json:"stage,omitempty"`
	Stages    int        `json:"stages,omitempty"`
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds that readers get, too.
const (
	Admitted         EventKind = "admitted"
	MessageAccepted  EventKind = "message_accepted"
	Opened           EventKind = "opened"
	OpeningFailed    EventKind = "opening_failed"
	Refused          EventKind = "refused"
	Dropped          EventKind = "dropped"
	Closed           EventKind = "closed"
	CloseFailed      EventKind = "close_failed"
	InterfaceFound   EventKind = "interface_found"
	InterfaceMissing EventKind = "interface_missing"
	CaptureFailed    EventKind = "capture_failed"
	Reloading        EventKind = "reloading"
	Reloaded         EventKind = "reloaded"
	ReloadFailed     EventKind = "reload_refused"
	Stopped          EventKind = "stopped"
	Changed          EventKind = "changed" // by an operator, through the socket
)

// The kinds that admins alone get.
const (
	Stage          EventKind = "stage"
	AttemptFailed  EventKind = "attempt_failed"
	Expired        EventKind = "expired"
	Ignored        EventKind = "ignored"
	MessageRefused EventKind = "message_refused"
	LimitReached   EventKind = "limit"
	Warning        EventKind = "warning"
	Other          EventKind = "other"
)

// Verdict is what a packet was to a door, or to none.
type Verdict struct {
	Kind     VerdictKind `json:"kind"`
	Text     string      `json:"text"`
	Door     string      `json:"door,omitempty"`
	Step     int         `json:"step,omitempty"`
	Stage    int         `json:"stage,omitempty"`
	Stages   int         `json:"stages,omitempty"`
	Of       string      `json:"of,omitempty"`
	Strict   bool        `json:"strict,omitempty"`
	Lapse    string      `json:"lapse,omitempty"`
	Asks     string      `json:"asks,omitempty"`
	Client   string      `json:"client,omitempty"`
	Refusal  string      `json:"refusal,omitempty"`
	Seconds  Seconds     `json:"seconds,omitzero"`
	Age      Seconds     `json:"age,omitzero"`
	Timeout  Seconds     `json:"timeout,omitzero"`
	Failures int         `json:"failures,omitempty"`
}

// VerdictKind is the kind of a Verdict.
type VerdictKind string

// The kinds.
const (
	VerdictStep            VerdictKind = "step"
	VerdictOpens           VerdictKind = "opens"
	VerdictRepeat          VerdictKind = "repeat"
	VerdictFailed          VerdictKind = "failed"
	VerdictLetPass         VerdictKind = "let_pass"
	VerdictHeld            VerdictKind = "held"
	VerdictOutOfTurn       VerdictKind = "out_of_turn"
	VerdictLate            VerdictKind = "late"
	VerdictCoolingDown     VerdictKind = "cooling_down"
	VerdictIgnored         VerdictKind = "ignored"
	VerdictWrongLength     VerdictKind = "wrong_length"
	VerdictNotAllowed      VerdictKind = "not_allowed"
	VerdictWrongFlags      VerdictKind = "wrong_flags"
	VerdictElsewhere       VerdictKind = "elsewhere"
	VerdictIPv6            VerdictKind = "ipv6"
	VerdictNoStep          VerdictKind = "no_step"
	VerdictMessageAccepted VerdictKind = "message_accepted"
	VerdictMessageRefused  VerdictKind = "message_refused"
)

// How an attempt ended before a Verdict.
const (
	LapseExpired = "expired"
	LapseFailed  = "failed"
	LapseEvicted = "evicted"
	LapseOpened  = "opened"
)

// Why a message was refused.
const (
	RefusalJunk       = "junk"
	RefusalUntried    = "untried"
	RefusalUnknown    = "unknown"
	RefusalFaulty     = "faulty"
	RefusalUntimely   = "untimely"
	RefusalReplay     = "replay"
	RefusalStoreFault = "store_fault"
	RefusalDenied     = "denied"
)

// Packet is a packet that passed the kernel's filter.
type Packet struct {
	At             time.Time  `json:"at"`
	Protocol       string     `json:"protocol"`
	Source         netip.Addr `json:"source"`
	SourcePort     uint16     `json:"source_port"`
	Destination    netip.Addr `json:"destination"`
	Port           uint16     `json:"port,omitempty"`
	Flags          string     `json:"flags,omitempty"`
	SequenceNumber *uint32    `json:"sequence_number,omitempty"`
	Length         int        `json:"length"`
	Verdicts       []Verdict  `json:"verdicts"`
	Note           string     `json:"note,omitempty"`
}

// Seconds is a duration, in JSON a number of seconds, to the millisecond.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler. What does not fit a Duration is an
// error.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("%s: must be a number of seconds", text)
	}
	if math.IsNaN(f) || math.Abs(f) > maxSeconds {
		return fmt.Errorf("%s: must be at most %d", text, int64(maxSeconds))
	}
	*s = Seconds(f * float64(time.Second))
	return nil
}

// maxSeconds is a hundred years.
const maxSeconds = 100 * 365 * 24 * 3600

// LeastTrial is how long a trial lasts at least.
const LeastTrial = 10 * time.Second

// OnTrial is what is on trial, or was and is not confirmed.
type OnTrial struct {
	Config  string   `json:"config"`
	Left    Seconds  `json:"left"`
	Begun   Seconds  `json:"begun"`
	Ports   []string `json:"ports"`
	Open    []string `json:"open"`
	Rescue  []string `json:"rescue"`
	Returns bool     `json:"returns"`
}
