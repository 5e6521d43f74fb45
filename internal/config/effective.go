package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Effective returns what holds, as the text of one file without drop-ins: every
// option, then every key of each door that is for such doors, with what they
// inherit. A comment stands for each sequence, which is secret, and names the
// keys that no value is set for. Together with the sequences, Parse reads it to
// the same.
func (c *Config) Effective() string { return c.text(true) }

func (c *Config) text(secrets bool) string {
	var b strings.Builder
	writeSection(&b, optionsName, optionRows, c, secrets)
	for _, d := range c.Doors {
		raw := &rawDoor{Door: d, spa: d.SPA}
		other := spaDoors
		if d.SPA != nil {
			other = sequenceDoors
		}
		rows := slices.DeleteFunc(slices.Clone(doorRows), func(k key[*rawDoor]) bool { return k.only == other })
		b.WriteByte('\n')
		writeSection(&b, d.Name, rows, raw, secrets)
	}
	return b.String()
}

// writeSection writes the keys of a section in the order of their rows. Secret
// ones, if they are hidden, and those without a value are comments.
func writeSection[T any](b *strings.Builder, name string, rows []key[T], t T, hide bool) {
	fmt.Fprintf(b, "[%s]\n", name)
	values := map[string]string{}
	for _, k := range rows {
		if value, ok := k.text(t); ok {
			values[k.names[0]] = value
		}
	}
	has := func(name string) bool { _, ok := values[name]; return ok }
	var unset []string
	for _, k := range rows {
		value, ok := values[k.names[0]]
		switch {
		case k.fields == nil || k.excludes != nil: // it says what others say
		case !ok && !has(k.inherits) || k.needs != "" && !has(k.needs):
			unset = append(unset, k.name())
		case k.secret && hide:
			fmt.Fprintf(b, "# %s: not shown (%s)\n", k.name(), hidden(k.fields(t)[0]))
		case k.word && !k.valued:
			fmt.Fprintln(b, k.name())
		default: // nothing behind the "=" is a value too, of a key that would inherit one
			fmt.Fprintln(b, strings.TrimRight(k.name()+" = "+value, " "))
		}
	}
	writeUnset(b, unset)
}

// hidden says about a secret what may be known.
func hidden(field any) string {
	if steps, ok := field.(*[]knock.Step); ok {
		if len(*steps) == 1 {
			return "1 step"
		}
		return fmt.Sprintf("%d steps", len(*steps))
	}
	return "secret"
}

// writeUnset writes comments that name keys, in lines of a width that fits.
func writeUnset(b *strings.Builder, names []string) {
	const width = 78
	line := ""
	for _, name := range names {
		if line != "" && len(line)+len(", ")+len(name) > width {
			fmt.Fprintln(b, line)
			line = ""
		}
		if line == "" {
			line = "# not set: " + name
		} else {
			line += ", " + name
		}
	}
	if line != "" {
		fmt.Fprintln(b, line)
	}
}

// text returns the value as a file would give it; false if no value means what
// is set.
func (k *key[T]) text(t T) (string, bool) {
	if k.fields == nil {
		return "", false
	}
	fields := k.fields(t)
	switch on, isSwitch := fields[0].(*bool); {
	case isSwitch && !*on && (k.word || k.note != ""): // would not be written
		return "", false
	case k.write != nil:
		return k.write(t)
	}
	return valueText(reflect.ValueOf(fields[0]).Elem())
}

// valueText writes a value of a type as the parsers of values read it. Of what
// is counted, 0 is a value too; of all else the zero value is none.
func valueText(v reflect.Value) (string, bool) {
	switch value := v.Interface().(type) {
	case bool:
		if value {
			return "yes", true
		}
		return "no", true
	case int:
		return strconv.Itoa(value), true
	case time.Duration:
		return strconv.FormatInt(int64(value/time.Second), 10), true
	case []knock.Step:
		return FormatSequence(value), len(value) > 0
	case time.Time:
		return dateText(value), !value.IsZero()
	case netip.Prefix:
		if value.IsSingleIP() {
			return value.Addr().String(), true
		}
		return value.String(), true
	case fmt.Stringer:
		return value.String(), !v.IsZero()
	}
	switch v.Kind() {
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			text, _ := valueText(v.Index(i))
			all = append(all, text)
		}
		return strings.Join(all, ", "), len(all) > 0
	case reflect.String:
		return v.String(), v.Len() > 0
	}
	panic(fmt.Sprintf("config: a row with a field of type %v must say how it is written", v.Type()))
}

// dateText writes a time as parseDate reads it, short if that is exact.
func dateText(t time.Time) string {
	short := t.Format("2006-01-02 15:04")
	if again, err := parseDate(short); err == nil && again.Equal(t) {
		return short
	}
	return t.Format(time.RFC3339Nano)
}
