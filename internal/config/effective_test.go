package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// TestEffective: the text has what is inherited and no sequence, and is read to
// the same once the sequences are put in.
func TestEffective(t *testing.T) {
	dropIn, err := notRoot("testdata/dropin/good/knockd.conf")
	if err != nil {
		t.Fatal(err)
	}
	nettest.Golden(t, "testdata/dropin/good.effective", dropIn.Effective())
	src, err := os.ReadFile("testdata/newkeys.conf")
	if err != nil {
		t.Fatal(err)
	}
	all := parse(t, string(src))
	nettest.Golden(t, "testdata/newkeys.effective", all.Effective())
	for _, secret := range []string{"7000", "8881", "7777", "9992", "9001"} {
		if strings.Contains(all.Effective(), secret) {
			t.Errorf("a step is shown: %s", secret)
		}
	}
	for _, c := range []*Config{
		dropIn, all, parse(t, ""),
		parse(t, "[options]\nUseSyslog\nAllowDuplicates\nStart_Limit = 7\nOnStop = keep\nLogFailures = yes\n[a]\nsequence = 1,9:udp\n"+
			"command = a # b\ncommand_6 =\nstop_command = c\n[ a] b ]\none_time_sequences = /f\nseq_cooldown = 3\nrepeats = fail\n"),
		parse(t, "[options]\nnft_mode = set\nnft_set = inet f s\n[a]\nsequence = 1,9\nopen = tcp/22\n[b]\nspa_key_file = f\nopen = tcp/22\nnft_set_6 = inet f t\n"),
		parse(t, "[a]\nspa_key_file = f\nexpires = 2027-01-31T18:00:01.5+03:00\n[b]\nspa_key_file = f\nexpires = 2027-01-31\nopen = tcp/22\nnat_allow = 10.0.0.1 tcp/22\n"),
		parse(t, "[a]\nsequence = 1,9\ntcpflags = syn,!fin\nstrict = yes\n[a]\nsequence = 5\n[OPTIONS]\nsequence = 6\ntarget = 2001:db8::1\n"),
	} {
		again, err := Parse("k.conf", []byte(c.text(false)))
		if err != nil {
			t.Errorf("%v\n%s", err, c.text(false))
			continue
		}
		if changed, _ := again.OptionsChanged(c); changed != nil || !slices.EqualFunc(again.Doors, c.Doors, sameDoor) {
			t.Errorf("%v differ, or the doors:\n%s", changed, c.text(false))
		}
	}
}

// sameDoor is Equal, with times as they are compared.
func sameDoor(a, b *Door) bool {
	if a.SPA != nil && b.SPA != nil && a.SPA.Expires.Equal(b.SPA.Expires) {
		x, y := *a, *b
		s := *a.SPA
		s.Expires, x.SPA = b.SPA.Expires, &s
		return x.Equal(&y)
	}
	return a.Equal(b)
}

// TestEffectiveHasAllRows: each key stands there once, with a value or among
// those that have none; the others say what these say.
func TestEffectiveHasAllRows(t *testing.T) {
	c := parse(t, "[a]\nsequence = 1,9\n[b]\nspa_key_file = f\n")
	options, doors, _ := strings.Cut(c.Effective(), "\n[a]\n")
	sequence, keyed, _ := strings.Cut(doors, "\n[b]\n")
	for i := range optionRows {
		onceIn(t, options, optionRows[i].name())
	}
	said := map[any]bool{}
	d := &rawDoor{Door: c.Doors[1], spa: c.Doors[1].SPA}
	for i := range doorRows {
		k := &doorRows[i]
		if k.fields == nil { // the word "new" is of the file that it stands in
			continue
		}
		if k.excludes != nil {
			for _, field := range k.fields(d) {
				if !said[field] {
					t.Errorf("%s: sets what no other key says", k.name())
				}
			}
			continue
		}
		for _, field := range k.fields(d) {
			said[field] = true
		}
		if k.only != spaDoors {
			onceIn(t, sequence, k.name())
		}
		if k.only != sequenceDoors {
			onceIn(t, keyed, k.name())
		}
	}
}

func onceIn(t *testing.T, section, name string) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+name+`(?: =.*)?$|^# `+name+`:|^# not set: (?:.*, )?`+name+`(?:,|$)`).FindAllString(section, -1)
	if len(found) != 1 {
		t.Errorf("%s: stands there %d times", name, len(found))
	}
}

// TestRowsAreWritten: a key of a type that nobody knows how to write says so
// itself, and what every key writes is read to the same.
func TestRowsAreWritten(t *testing.T) {
	c := &Config{}
	for _, k := range optionRows {
		k.text(c)
		if k.write == nil && len(k.fields(c)) != 1 {
			t.Errorf("%s: which of its fields is written?", k.name())
		}
	}
	d := &rawDoor{Door: &Door{}}
	for _, k := range doorRows {
		if k.fields == nil || k.excludes != nil {
			continue
		}
		k.text(d)
		if k.write == nil && len(k.fields(d)) != 1 {
			t.Errorf("%s: which of its fields is written?", k.name())
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a field of any type is written")
		}
	}()
	valueText(reflect.ValueOf(struct{ x int }{}))
}

// FuzzEffective: what is written of a configuration is a configuration, which
// is written the same.
func FuzzEffective(f *testing.F) {
	addSections(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > maxFuzzed {
			t.Skip()
		}
		c, err := Parse("f", src)
		if err != nil {
			return
		}
		text := c.text(false)
		again, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatalf("%q is written\n%s\n%v", src, text, err)
		}
		if now := again.text(false); now != text {
			t.Fatalf("%q is written\n%s\nand then\n%s", src, text, now)
		}
		for i, d := range again.Doors {
			if FormatSequence(d.Sequence) != FormatSequence(c.Doors[i].Sequence) || d.ID() != c.Doors[i].ID() {
				t.Fatalf("%q: door %d is another", src, i)
			}
		}
	})
}
