package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// maxFuzzed bounds what is tried. The fuzzer cuts short what it finds
// interesting, in as many tries as the square of its length.
const maxFuzzed = 256

// addSections begins with the sections of the test's files.
func addSections(f *testing.F) {
	files, _ := filepath.Glob("testdata/config/*.conf")
	for _, file := range append(files, "testdata/newkeys.conf") {
		for section := range strings.SplitSeq("\n"+nettest.Read(f, file), "\n[") {
			if section = "[" + section; len(section) <= maxFuzzed {
				f.Add([]byte(section))
			}
		}
	}
}

// FuzzParse: Parse never panics, never returns a value together with an error,
// and never lets a door through that cannot open.
func FuzzParse(f *testing.F) {
	addSections(f)
	f.Add([]byte("[options]\nusesyslog\n[a]\nsequence=1,2:udp\ntcpflags=syn,!ack\ntarget=192.0.2.1\ncommand=`x`\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > maxFuzzed {
			t.Skip()
		}
		c, err := Parse("f", src)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
		if err != nil {
			return
		}
		for _, d := range c.Doors {
			ways := 0
			for _, has := range []bool{len(d.Sequence) > 0, d.OneTimeFile != "", d.SPA != nil} {
				if has {
					ways++
				}
			}
			if ways != 1 {
				t.Errorf("door %q: sequence %v, file %q, keys %v", d.Name, d.Sequence, d.OneTimeFile, d.SPA)
			}
			for _, s := range d.Sequence {
				if s.Port == 0 && len(d.OpenPorts) == 0 {
					t.Errorf("door %q: port 0", d.Name)
				}
			}
		}
	})
}

// FuzzDropIn: what a drop-in adds leaves the doors of the main file doors, and
// no key is set twice.
func FuzzDropIn(f *testing.F) {
	f.Add([]byte("[a]\nsequence=1\n[b]\nsequence=2\n"), []byte("[a]\ncmd_timeout=5\n[c]\nnew=yes\nsequence=1\n[options]\nlograte=5\n"))
	f.Add([]byte("[a]\nsequence=1\n[a]\nsequence=2\n"), []byte("[a]\nsequence=3\n[a]\nnew=yes\n"))
	f.Fuzz(func(t *testing.T, main, dropIn []byte) {
		if len(main)+len(dropIn) > maxFuzzed {
			t.Skip()
		}
		c, err := newParser("m").parse(source{"m", main}, []source{{"d", dropIn}})
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
		alone, aloneErr := Parse("m", main)
		if err != nil || aloneErr != nil {
			return
		}
		if len(c.Doors) < len(alone.Doors) {
			t.Fatalf("%d doors became %d", len(alone.Doors), len(c.Doors))
		}
		for i, d := range alone.Doors {
			if c.Doors[i].Name != d.Name || c.Doors[i].Place != d.Place {
				t.Errorf("door %d: %q at %v became %q at %v", i, d.Name, d.Place, c.Doors[i].Name, c.Doors[i].Place)
			}
			if (len(d.Sequence) > 0) && c.Doors[i].OneTimeFile == "" && FormatSequence(c.Doors[i].Sequence) != FormatSequence(d.Sequence) {
				t.Errorf("door %d: its sequence changed", i)
			}
		}
	})
}

// FuzzLines: what ini.v1 reads of the shielded lines is what a plain cut at
// the first "=" gives.
func FuzzLines(f *testing.F) {
	f.Add("command = \"\"\"x\"\"\"")
	f.Add("- = `x")
	f.Add("UseSyslog")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n\x00") || trim(line) == "" || strings.ContainsAny(trim(line)[:1], "#;[") {
			t.Skip()
		}
		key, value, ok := strings.Cut(line, "=")
		want := rawItem{Place{"f", 2}, trim(key), trim(value), ok}
		s := slices.Collect(split("f", []byte("[a]\n"+line+"\n"), func(f *Fault) { t.Errorf("%v", f) }))
		if len(s) != 1 || len(s[0].items) != 1 || s[0].items[0] != want {
			t.Errorf("%q: %+v, want %+v", line, s, want)
		}
	})
}

// FuzzStateDir: a file without faults says the same about the state directory to
// whoever closes doors as to the daemon; faults elsewhere change nothing, and
// what stands last counts.
func FuzzStateDir(f *testing.F) {
	f.Add("[options]\nStateDir = /var/lib/other\n[a]\nsequence=1\n")
	f.Add("[options]\nstatedir=/a\nSTATEDIR\t=\v /b \f\n[a]\nsequence=1\nstatedir = /no\n")
	f.Add("[options]\nStateDir = /a\u00a0\n")
	f.Add("[Options]\nStateDir = /no\n[options\nStateDir = /no\n")
	f.Add("[options]\nStateDir = /a\u00a0\n# StateDir = /no\n[options]\nstatedir=/b # c\n")
	f.Add("\ufeff[options]\n;\nStateDir = \"/a\"\nstatedir =\nStateDir\n\u017ftatedir = /no\n\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzed {
			t.Skip()
		}
		dir := optionIn(text, "statedir")
		if c, err := Parse("f", []byte(text)); err == nil && c.StateDir != dir {
			t.Fatalf("the daemon reads %q, whoever closes doors %q", c.StateDir, dir)
		}
		if dir != trim(dir) || strings.ContainsAny(dir, "\n\x00") || !strings.Contains(text, dir) {
			t.Fatalf("%q", dir)
		}
		if got := optionIn(text+"\n[x]\n;rubbish\nsequence\n[\nStateDir = /no\n", "statedir"); got != dir {
			t.Fatalf("%q became %q for faults behind it", dir, got)
		}
		if got := optionIn(text+"\n[options]\nStateDir = /last\n", "statedir"); got != "/last" {
			t.Fatalf("%q, and /last stands last", got)
		}
	})
}
