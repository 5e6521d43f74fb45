package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varlink/go/varlink/idl"
)

// goTypes are the types here, as the interface file names them.
var goTypes = map[string]any{}

func init() {
	for _, v := range []any{
		ListenedOn{}, Count{}, LastReload{}, Firewall{}, Confinement{}, Limit{}, Attempt{}, Hits{}, Door{}, Opening{}, Visit{},
		Event{}, Verdict{}, Packet{}, OnTrial{},
	} {
		goTypes[reflect.TypeOf(v).Name()] = v
	}
}

// goMethods are what each method takes and gives.
var goMethods = map[string][2]any{
	MethodStatus:   {struct{}{}, StatusReply{}},
	MethodDoors:    {struct{}{}, DoorsReply{}},
	MethodOpenings: {Selection{}, OpeningsReply{}},
	MethodAttempts: {Selection{}, AttemptsReply{}},
	MethodHistory:  {HistoryArgs{}, HistoryReply{}},
	MethodWatch:    {Selection{}, WatchReply{}},
	MethodOpen:     {OpenArgs{}, OpenReply{}},
	MethodClose:    {CloseArgs{}, CloseReply{}},
	MethodReload:   {struct{}{}, ReloadReply{}},
	MethodTrial:    {TrialArgs{}, TrialReply{}},
	MethodConfirm:  {struct{}{}, ConfirmReply{}},
	MethodExplain:  {Selection{}, ExplainReply{}},
}

// words are the constants that enums stand for, by type and field.
var words = map[string][]string{
	"Firewall.mode": {"guard", "mark", "set"}, // as in config
	"Limit.name":    {LimitOpenings, LimitAttempts, LimitLogLines, LimitMessages},
	"Door.kind":     {KindSequence, KindOneTime, KindKeys},
	"Opening.state": {StateOpening, StateOpen, StateClosing},
	"Opening.by":    {ByKnock, ByMessage, ByOperator},
	"Visit.by":      {ByKnock, ByMessage, ByOperator},
	"Event.kind": texts(Admitted, MessageAccepted, Opened, OpeningFailed, Refused, Dropped, Closed, CloseFailed,
		InterfaceFound, InterfaceMissing, CaptureFailed, Reloading, Reloaded, ReloadFailed, Stopped, Changed,
		Stage, AttemptFailed, Expired, Ignored, MessageRefused, LimitReached, Warning, Other),
	"Verdict.kind": texts(VerdictStep, VerdictOpens, VerdictRepeat, VerdictFailed, VerdictLetPass, VerdictHeld, VerdictOutOfTurn, VerdictLate,
		VerdictCoolingDown, VerdictIgnored, VerdictWrongLength, VerdictNotAllowed, VerdictWrongFlags, VerdictElsewhere, VerdictIPv6,
		VerdictNoStep, VerdictMessageAccepted, VerdictMessageRefused),
	"Verdict.lapse": {LapseExpired, LapseFailed, LapseEvicted, LapseOpened},
	"Verdict.refusal": {RefusalJunk, RefusalUntried, RefusalUnknown, RefusalFaulty, RefusalUntimely, RefusalReplay, RefusalStoreFault,
		RefusalDenied},
	"Packet.protocol": {"tcp", "udp", "icmp"},
	"Status.rank":     {string(Reader), string(Admin)},
}

func texts[T ~string](list ...T) (all []string) {
	for _, t := range list {
		all = append(all, string(t))
	}
	return all
}

func description(t *testing.T) *idl.IDL {
	t.Helper()
	d, err := idl.New(Description)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestInterface: the types here are those of the interface file, both ways.
func TestInterface(t *testing.T) {
	d := description(t)
	if d.Name != Interface {
		t.Errorf("interface %s", d.Name)
	}
	unseen := map[string]bool{}
	for name := range goTypes {
		unseen["type "+name] = true
	}
	for name := range goMethods {
		unseen["method "+name] = true
	}
	for _, e := range Errors() {
		unseen["error "+e.Name()] = true
	}
	for name := range words {
		unseen["enum "+name] = true
	}
	for _, a := range d.Aliases {
		compare(t, unseen, a.Name, a.Type, reflect.TypeOf(goTypes[a.Name]))
		delete(unseen, "type "+a.Name)
	}
	for _, m := range d.Methods {
		pair, ok := goMethods[Interface+"."+m.Name]
		if !ok {
			t.Errorf("method %s: not here", m.Name)
			continue
		}
		compare(t, unseen, m.Name, m.In, reflect.TypeOf(pair[0]))
		compare(t, unseen, m.Name, m.Out, reflect.TypeOf(pair[1]))
		delete(unseen, "method "+Interface+"."+m.Name)
	}
	for _, e := range d.Errors {
		for _, mine := range Errors() {
			if mine.Name() == Interface+"."+e.Name {
				compare(t, unseen, e.Name, e.Type, reflect.TypeOf(mine).Elem())
				delete(unseen, "error "+mine.Name())
			}
		}
	}
	for name := range unseen {
		t.Errorf("%s: not in the interface file", name)
	}
}

// compare holds a struct against one of the interface file.
func compare(t *testing.T, unseen map[string]bool, name string, want *idl.Type, got reflect.Type) {
	t.Helper()
	if got == nil || got.Kind() != reflect.Struct {
		t.Errorf("%s: no struct here", name)
		return
	}
	var have, wanted []string
	for i := range got.NumField() {
		f := got.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		text := spell(f.Type)
		if strings.HasPrefix(option, "omit") {
			text = "?" + text
		}
		have = append(have, key+": "+text)
	}
	for _, f := range want.Fields {
		wanted = append(wanted, f.Name+": "+spellIDL(t, unseen, name+"."+f.Name, f.Type))
	}
	if !slices.Equal(have, wanted) {
		t.Errorf("%s:\nhere %s\nfile %s", name, strings.Join(have, ", "), strings.Join(wanted, ", "))
	}
}

// spell names a Go type as the interface file does.
func spell(t reflect.Type) string {
	for name, v := range goTypes {
		if reflect.TypeOf(v) == t {
			return name
		}
	}
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]():
		return "string"
	case reflect.TypeFor[Seconds]():
		return "float"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return spell(t.Elem())
	case reflect.Slice:
		return "[]" + spell(t.Elem())
	case reflect.Int, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	}
	return t.Kind().String()
}

func spellIDL(t *testing.T, unseen map[string]bool, field string, typ *idl.Type) string {
	t.Helper()
	switch typ.Kind {
	case idl.TypeMaybe:
		return "?" + spellIDL(t, unseen, field, typ.ElementType)
	case idl.TypeArray:
		return "[]" + spellIDL(t, unseen, field, typ.ElementType)
	case idl.TypeAlias:
		return typ.Alias
	case idl.TypeEnum:
		var list []string
		for _, f := range typ.Fields {
			list = append(list, f.Name)
		}
		if !slices.Equal(list, words[field]) {
			t.Errorf("%s: %q here, %q in the file", field, words[field], list)
		}
		delete(unseen, "enum "+field)
		return "string"
	}
	return map[idl.TypeKind]string{idl.TypeBool: "bool", idl.TypeInt: "int", idl.TypeFloat: "float", idl.TypeString: "string"}[typ.Kind]
}

// TestNullable: what the file calls nullable is absent while it is zero, the
// rest is always there, lists as lists.
func TestNullable(t *testing.T) {
	for _, m := range description(t).Methods {
		text, err := json.Marshal(goMethods[Interface+"."+m.Name][1])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Out.Fields {
			if _, there := got[f.Name]; there == (f.Type.Kind == idl.TypeMaybe) {
				t.Errorf("%s: %s: there: %v", m.Name, f.Name, there)
			}
		}
	}
}

func TestSeconds(t *testing.T) {
	for _, c := range []struct{ text, back string }{
		{"90", "90"}, {"0.25", "0.25"}, {"1e3", "1000"}, {"0.0001", "0"}, {"-1", "-1"},
		{`"90"`, `"90": must be a number of seconds`},
		{"1e300", "1e300: must be at most 3153600000"},
		{"null", "null: must be a number of seconds"},
	} {
		var s Seconds
		back := ""
		if err := s.UnmarshalJSON([]byte(c.text)); err != nil {
			back = err.Error()
		} else if text, err := json.Marshal(s); err == nil {
			back = string(text)
		}
		if back != c.back {
			t.Errorf("%s: %s, want %s", c.text, back, c.back)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{&NotAllowed{MethodReload}, "Reload: for root and ControlAdmins alone"},
		{&NoSuchDoor{"ssh"}, `no door is called "ssh"`},
		{&NotForced{"a prefix: it takes force"}, "a prefix: it takes force"},
		{&CannotOpen{"ssh", "it has no sequence left"}, "ssh: not opened: it has no sequence left"},
		{&ReloadRefused{[]string{"a", "b"}, nil}, "a\nb"},
		{&ReloadRefused{nil, []string{"Interface", "PidFile"}}, "only a restart can change: Interface, PidFile"},
		{&Failed{"knockd is busy"}, "knockd is busy"},
		{&TooMany{"live explanations", 2}, "too many live explanations: at most 2 at a time"},
		{&TrialRuns{Seconds(90 * time.Second)}, "a trial goes on for another 1m30s"},
		{&NoTrial{}, "nothing is on trial"},
		{&NoTrial{Over: true}, "the trial is over"},
		{&NoTrial{Over: true, Open: []string{"tcp/22"}}, "the trial is over: not guarded: tcp/22"},
		{&Ending{}, "knockd ends"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s: %q, want %q", c.err.Name(), got, c.want)
		}
	}
	if n := len(Errors()); n != 10 {
		t.Error(fmt.Sprint(n), "errors")
	}
}
