package event

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the expected keyword lines")

// line returns an event as keyword and fields: "STAGE door=ssh peer=192.0.2.7
// proof=none stage=1".
func line(e Event) string {
	line := Keyword(e)
	for _, f := range Fields(e) {
		line += " " + f.String()
	}
	return line
}

// TestKeywords: keywords and the names of fields stay as they are, and every kind
// has its own.
func TestKeywords(t *testing.T) {
	var got strings.Builder
	for _, k := range kinds {
		got.WriteString(line(k.event) + "\n")
	}
	const file = "testdata/keywords.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("keyword lines (-want +got):\n%s", diff)
	}
	var types []string
	known := map[string]bool{}
	for _, k := range stable {
		types = append(types, reflect.TypeOf(k.of).Name())
		if known[k.keyword] || !regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`).MatchString(k.keyword) {
			t.Errorf("%s stands for two kinds, or is no keyword", k.keyword)
		}
		known[k.keyword] = true
	}
	source := kindsInSource(t)
	slices.Sort(types)
	slices.Sort(source)
	if diff := cmp.Diff(source, types); diff != "" {
		t.Errorf("kinds with a keyword (-in the source +in the table):\n%s", diff)
	}
}

// TestKindsNameTheirFields: what Kinds says of a kind's fields is all that Fields
// can return.
func TestKindsNameTheirFields(t *testing.T) {
	fields := map[string][]string{}
	Kinds(func(keyword, doc string, names []string) {
		fields[keyword] = names
		if doc == "" {
			t.Errorf("%s is not described", keyword)
		}
	})
	for _, k := range kinds {
		for _, f := range Fields(k.event) {
			if !slices.Contains(fields[Keyword(k.event)], f.Name) {
				t.Errorf("%s has a field %s, which is not named", Keyword(k.event), f.Name)
			}
			switch f.Value.(type) {
			case string, bool, int64, uint64, float64:
			default:
				t.Errorf("%s: %s is a %T", Keyword(k.event), f.Name, f.Value)
			}
		}
	}
}

func TestFieldText(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"ssh", "f=ssh"}, {"", `f=""`}, {"a b", `f="a b"`}, {"a\nb", `f="a\nb"`}, {`a"b`, `f="a\"b"`}, {"a=b", `f="a=b"`},
		{int64(-3), "f=-3"}, {1.5, "f=1.5"}, {true, "f=true"}, {"\x1b[2J", `f="\x1b[2J"`},
	} {
		if got := fmt.Sprint(Field{"f", c.value}); got != c.want {
			t.Errorf("%v: %s, want %s", c.value, got, c.want)
		}
	}
}
