package event

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
	"unicode"

	"knockd/internal/knock"
)

// kind is what programs are told of events of a type. Keywords and the names of
// fields are stable: whoever reads them need not follow our types.
type kind struct {
	of      Event
	keyword string
	doc     string // in one line
}

// stable has every kind, in the order of what happens.
var stable = []kind{
	{Stage{}, "STAGE", "a knocker has taken a step"},
	{Expired{}, "ATTEMPT_EXPIRED", "seq_timeout passed before the sequence was complete"},
	{AttemptFailed{}, "ATTEMPT_FAILED", "a hit has ended an attempt"},
	{Ignored{}, "SOURCE_IGNORED", "a source has failed too often"},
	{Evicted{}, "ATTEMPTS_EVICTED", "attempts made room for others"},
	{Admitted{}, "ADMITTED", "a door opens, for a sequence or for a message"},
	{MessageAccepted{}, "MESSAGE_ACCEPTED", "the right keys ask for something that a door opens"},
	{MessageRefused{}, "MESSAGE_REFUSED", "a message opens nothing"},
	{MessagesDropped{}, "MESSAGES_DROPPED", "no key was tried on packets that may have been messages"},
	{SequencesExhausted{}, "SEQUENCES_EXHAUSTED", "all one-time sequences of a door are used"},
	{SequenceNotMarked{}, "SEQUENCE_NOT_MARKED", "a one-time sequence could not be marked as used, and opens nothing"},
	{SequenceNotRead{}, "SEQUENCE_NOT_READ", "the next one-time sequence could not be read"},
	{LineSkipped{}, "LINE_SKIPPED", "a line of a file of one-time sequences is none"},
	{StoreRemade{}, "STORE_REMADE", "the store of used messages was gone"},

	{Opened{}, "OPENED", "an opening has begun without a command"},
	{Closed{}, "CLOSED", "the time of an opening is over; a stop command runs next, if there is one"},
	{CommandStarted{}, "COMMAND_STARTED", "a start or stop command runs"},
	{CommandEnded{}, "COMMAND_ENDED", "a command has failed, or succeeds after it could not be run"},
	{CommandOrphaned{}, "COMMAND_ORPHANED", "the start command of an earlier run goes on"},
	{Waiting{}, "OPENING_WAITS", "an opening waits for a worker"},
	{Refused{}, "OPENING_REFUSED", "too many openings are held"},
	{Failed{}, "OPENING_FAILED", "an opening could not begin or close"},
	{GivenUp{}, "OPENING_GIVEN_UP", "what failed is not tried again"},
	{Dropped{}, "OPENING_DROPPED", "an opening ended before anything of it began"},
	{AllDropped{}, "OPENINGS_DROPPED", "openings that had not begun were dropped on shutdown"},
	{Adopted{}, "OPENINGS_ADOPTED", "openings of an earlier run were taken over"},
	{LeftOpen{}, "LEFT_OPEN", "doors could not be closed before the end"},
	{JournalDamaged{}, "JOURNAL_DAMAGED", "records of the journal could not be read"},
	{JournalFailed{}, "JOURNAL_FAILED", "the journal cannot be written"},
	{JournalWritten{}, "JOURNAL_WRITTEN", "the journal can be written again"},

	{HistoryDamaged{}, "HISTORY_DAMAGED", "lines of the history could not be read"},
	{HistoryFailed{}, "HISTORY_FAILED", "the history cannot be written"},
	{HistoryWritten{}, "HISTORY_WRITTEN", "the history can be written again"},

	{Started{}, "STARTED", "knockd runs"},
	{Listening{}, "LISTENING", "knockd runs, for those who watch"},
	{Reloading{}, "RELOADING", "the configuration is read again"},
	{Reloaded{}, "RELOADED", "the configuration that was read again is used, for those at the control socket"},
	{ReloadRefused{}, "RELOAD_REFUSED", "the configuration that was read again is not used"},
	{Finding{}, "FINDING", "what a check of the configuration, or of the host, has found"},
	{NotExamined{}, "NOT_EXAMINED", "something on this host could not be looked at"},
	{Fault{}, "FAULT", "something failed that knockd can do without"},
	{WorkersLimited{}, "WORKERS_LIMITED", "fewer commands than usual can run at a time"},
	{Stopping{}, "STOPPING", "the end begins, for those who watch"},
	{Ending{}, "ENDING", "the end is near, for those who watch"},
	{Stopped{}, "STOPPED", "knockd ends"},
	{LeftOut{}, "EVENTS_LEFT_OUT", "what strangers caused was left out of the log"},
	{Lost{}, "LINES_LOST", "a file, pipe or program did not take lines of the log"},

	{OpenedByHand{}, "OPENED_BY_HAND", "somebody has a door opened through the control socket"},
	{ClosedByHand{}, "CLOSED_BY_HAND", "somebody has openings closed through the control socket"},
	{ReloadedByHand{}, "RELOADED_BY_HAND", "somebody has the configuration read again through the control socket"},
	{SocketFailed{}, "SOCKET_FAILED", "there is no control socket"},
	{SocketMissing{}, "SOCKET_MISSING", "there is no control socket, and nobody asked for one"},

	{InterfaceMissing{}, "INTERFACE_MISSING", "an interface to listen on is not there"},
	{InterfaceFound{}, "INTERFACE_FOUND", "an interface to listen on has appeared"},
	{CaptureFailed{}, "CAPTURE_FAILED", "the capture ended or could not be begun, and is tried again"},
	{CaptureSlower{}, "CAPTURE_SLOWER", "the kernel refuses what makes the capture fast"},
	{PacketsLost{}, "PACKETS_LOST", "the kernel has dropped packets that were not read in time"},
	{Packet{}, "PACKET", "a packet came that could be a knock, for -D"},
	{Judged{}, "JUDGED", "what the packet before was to the doors, for -D"},

	{GuardDeaf{}, "GUARD_DEAF", "nothing is listened on, so nobody can open the ports of the guard"},
	{GuardClosed{}, "GUARD_CLOSED", "the guard has closed ports, or stays when knockd ends"},
	{GuardFailed{}, "GUARD_FAILED", "the guard could not close, and is tried again"},
	{TrialBegun{}, "TRIAL_BEGUN", "a configuration is on trial, or still is at the start"},
	{TrialOver{}, "TRIAL_OVER", "a trial was not confirmed and is over"},
	{TrialConfirmed{}, "TRIAL_CONFIRMED", "what was on trial stays"},
	{TrialFailed{}, "TRIAL_FAILED", "what a trial left could not be put in order"},
	{TableFound{}, "TABLE_FOUND", "a table of ours is there that the configuration does not use"},
	{TableUnowned{}, "TABLE_UNOWNED", "the kernel lets others change our table"},
	{TableDeleted{}, "TABLE_DELETED", "a table of ours was taken out of the kernel"},
	{Restored{}, "RESTORED", "somebody has changed rules of ours, and they are as they were"},
	{RestoreFailed{}, "RESTORE_FAILED", "what others have changed could not be put back, and is tried again"},
	{ClosedByOthers{}, "CLOSED_BY_OTHERS", "somebody has ended openings"},
	{MonitorFailed{}, "MONITOR_FAILED", "changes by others are not seen for a moment"},
	{SetLacking{}, "SET_LACKING", "a door has no set for one IP version"},
	{SetUnused{}, "SET_UNUSED", "no rule asks a door's set"},
	{SetCleared{}, "SET_CLEARED", "the openings in a set were closed"},
}

var kindOf = func() map[reflect.Type]*kind {
	m := make(map[reflect.Type]*kind, len(stable))
	for i := range stable {
		m[reflect.TypeOf(stable[i].of)] = &stable[i]
	}
	return m
}()

// Keyword returns the stable name of an event's kind: "ADMITTED".
func Keyword(e Event) string {
	if k := kindOf[reflect.TypeOf(e)]; k != nil {
		return k.keyword
	}
	return "OTHER"
}

// Field is a value of an event: a string, bool, int64, uint64 or float64 (times
// in seconds).
type Field struct {
	Name  string
	Value any
}

// String returns the field as keyword lines have it: name=value, quoted where
// the value is empty or has blanks, quotes or what is not printed.
func (f Field) String() string {
	text := fmt.Sprint(f.Value)
	odd := func(r rune) bool { return r == '"' || r == '=' || r == '\\' || r == ' ' || !unicode.IsPrint(r) }
	if text == "" || strings.ContainsFunc(text, odd) {
		text = fmt.Sprintf("%q", text)
	}
	return f.Name + "=" + text
}

// Fields returns the values of an event, by stable names. Those that are empty
// are absent. Those that name a peer say what proves its address: "key" if a
// message's keys do, else "none", since anybody can send packets from any address.
func Fields(e Event) []Field {
	list := appendStruct(nil, reflect.ValueOf(e))
	if more, ok := e.(interface{ more() []Field }); ok {
		list = append(list, more.more()...)
	}
	client := ""
	for _, f := range list {
		if f.Name == "client" {
			client, _ = f.Value.(string)
		}
	}
	for i, f := range list {
		if f.Name == "peer" {
			proof := "none"
			if client != "" {
				proof = "key"
			}
			return append(list[:i+1:i+1], append([]Field{{"proof", proof}}, list[i+1:]...)...)
		}
	}
	return list
}

// appendStruct appends the exported fields of a struct.
func appendStruct(list []Field, v reflect.Value) []Field {
	for i := range v.NumField() {
		t := v.Type().Field(i)
		if name := fieldName(t); name != "" {
			list = appendField(list, name, v.Field(i))
		}
	}
	return list
}

// fieldName returns the name of a field: its tag's, else its own in lower case
// with underscores; "" of one that is not told.
func fieldName(t reflect.StructField) string {
	if name, ok := t.Tag.Lookup("event"); ok || !t.IsExported() {
		return name
	}
	var b strings.Builder
	for i, r := range t.Name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(t.Name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if b.String() == "err" {
		return "error"
	}
	return b.String()
}

func appendField(list []Field, name string, v reflect.Value) []Field {
	text := ""
	switch x := v.Interface().(type) {
	case knock.DoorID:
		if x != (knock.DoorID{}) {
			text = x.String()
		}
	case Knocker:
		list, name, text = appendField(list, "peer", reflect.ValueOf(x.Addr)), "host", x.Host
	case Opening:
		return appendStruct(list, v)
	case Result:
		list = append(list, Field{"status", int64(x.Status)})
		return appendField(list, "error", reflect.ValueOf(&x.Err).Elem())
	case knock.Hit:
		return appendHit(list, &x)
	case time.Duration:
		return append(list, Field{name, x.Seconds()})
	case time.Time:
		text = x.UTC().Format(time.RFC3339Nano)
	case netip.Addr:
		if x.IsValid() {
			text = x.String()
		}
	case netip.AddrPort:
		if x.IsValid() {
			text = x.String()
		}
	case knock.PortRange:
		if x != (knock.PortRange{}) {
			text = x.String()
		}
	case []knock.PortRange:
		text = knock.PortNames(x, ", ")
	case []Opening:
		return append(list, Field{name, int64(len(x))})
	case []string:
		text = strings.Join(x, ",")
	case error:
		text = x.Error()
	case fmt.Stringer:
		text = x.String()
	case bool:
		return append(list, Field{name, x})
	case string:
		text = x
	case *uint32:
		if x != nil {
			return append(list, Field{name, uint64(*x)})
		}
	default:
		switch {
		case v.CanInt():
			return append(list, Field{name, v.Int()})
		case v.CanUint():
			return append(list, Field{name, v.Uint()})
		}
	}
	if text != "" {
		list = append(list, Field{name, text})
	}
	return list
}

func appendHit(list []Field, h *knock.Hit) []Field {
	list = append(list, Field{"protocol", h.Proto.String()}, Field{"peer", h.Src.String()}, Field{"peer_port", int64(h.SrcPort)},
		Field{"destination", h.Dst.String()}, Field{"port", int64(h.DstPort)}, Field{"length", int64(h.PayloadLen)})
	if h.Proto == knock.TCP {
		list = append(list, Field{"flags", h.Flags.String()})
	}
	return list
}

// Kinds ranges over the keywords of all kinds, with what they mean and the names
// of their fields, those included that may be absent.
func Kinds(each func(keyword, doc string, fields []string)) {
	for _, k := range stable {
		names := namesOf(reflect.TypeOf(k.of))
		if more, ok := k.of.(interface{ more() []Field }); ok {
			for _, f := range more.more() {
				names = append(names, f.Name)
			}
		}
		each(k.keyword, k.doc, names)
	}
}

func namesOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := fieldName(f)
		switch {
		case name == "":
		case f.Type == reflect.TypeFor[Knocker]():
			names = append(names, "peer", "proof", "host")
		case f.Type == reflect.TypeFor[Opening]():
			names = append(names, namesOf(f.Type)...)
		case f.Type == reflect.TypeFor[Result]():
			names = append(names, "status", "error")
		case f.Type == reflect.TypeFor[knock.Hit]():
			names = append(names, "protocol", "peer", "proof", "peer_port", "destination", "port", "length", "flags")
		case name == "peer":
			names = append(names, "peer", "proof")
		default:
			names = append(names, name)
		}
	}
	return names
}
