package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryFieldHasARow: what a configuration can say is said by a row, so
// that a reload, a ruleset and the manual know of it.
func TestEveryFieldHasARow(t *testing.T) {
	c := &Config{}
	var set []any
	for _, k := range optionRows {
		set = append(set, k.fields(c)...)
	}
	lackRows(t, c, set, "Doors", "Warnings", "Advice", "Trace", "Files", "places")

	d := &rawDoor{Door: &Door{}}
	set = nil
	for _, k := range doorRows {
		if k.fields != nil {
			set = append(set, k.fields(d)...)
		} else if k.names[0] != "new" {
			t.Errorf("%s: no fields", k.names[0])
		}
	}
	set = append(set, &d.Door.Door) // whose fields are looked at below
	lackRows(t, d.Door, set, "Place", "SPA")
	lackRows(t, &d.Door.Door, set, "Name", "N")
	lackRows(t, d.spa, set)
}

// lackRows complains of the fields of a struct that no pointer leads to.
func lackRows(t *testing.T, of any, set []any, but ...string) {
	t.Helper()
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		name, at := v.Type().Field(i).Name, v.Field(i).Addr()
		found := slices.ContainsFunc(set, func(field any) bool {
			f := reflect.ValueOf(field)
			return f.Pointer() == at.Pointer() && f.Type() == at.Type()
		})
		if found == slices.Contains(but, name) {
			t.Errorf("%v.%s: has a row: %v", v.Type(), name, found)
		}
	}
}

// TestRows: each key says what it is for, and names others that there are.
func TestRows(t *testing.T) {
	src, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	spelled := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)(?:^\.It| ,) Ic ([A-Za-z0-9_]+)`).FindAllStringSubmatch(string(src), -1) {
		spelled[m[1]] = true
	}
	check := func(name string, names []string, f facts) {
		if f.doc == "" || strings.ContainsAny(f.doc, "\n.") {
			t.Errorf("%s: doc %q", name, f.doc)
		}
		if !strings.EqualFold(name, names[0]) || !spelled[name] {
			t.Errorf("%s: the manual does not write it so", name)
		}
		for _, other := range append(slices.Clone(f.excludes), f.needs) {
			if k := doorKeys.find(other); other != "" && (k == nil || k.names[0] != other) {
				t.Errorf("%s: no key %s", name, other)
			}
		}
	}
	for _, k := range optionRows {
		check(k.name(), k.names, k.facts)
	}
	for _, k := range doorRows {
		check(k.name(), k.names, k.facts)
	}
}

// TestOptionsFixed: what a reload cannot change is what it was.
func TestOptionsFixed(t *testing.T) {
	a := parse(t, "")
	b := parse(t, "[options]\nLogFile=/y\nPidFile=p\nInterface=eth0\nUseSyslog\nStateDir=s\nOnStop=keep\nMaxAttempts=1\nLogRate=1\n"+
		"HistoryFile=h\nHistorySize=1 MB\nHistoryDays=1\nnft_mode=mark\nnft_table=t\nguard_hook=prerouting\nnft_mark=1\nmax_failures=1/1,1\nnever_ignore=192.0.2.1\nStart_Limit=1\nAllowDuplicates\n")
	want := []string{"PidFile", "Interface", "StateDir", "MaxAttempts", "nft_mode", "nft_table", "guard_hook", "nft_mark"}
	if _, got := a.OptionsChanged(b); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestNoRuleset: the keys that only the daemon can carry out.
func TestNoRuleset(t *testing.T) {
	c := parse(t, "[a]\nsequence=1\ncooldown=5\npacket_length=10\nxt_recent=L\n[b]\nsequence=1\nallow=192.0.2.1\nopen=tcp/22\n[c]\none_time_sequences=/f\n")
	for i, want := range [][]string{{"cooldown", "packet_length", "xt_recent"}, nil, {"one_time_sequences"}} {
		if got, reasons := c.Doors[i].NoRuleset(); !slices.Equal(got, want) || len(reasons) != len(got) {
			t.Errorf("door %d: %v, want %v", i, got, want)
		}
	}
}
