package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzParse: Parse never panics, never returns a value together with an error,
// and never lets a door through that cannot open.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/config/*.conf")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("[options]\nusesyslog\n[a]\nsequence=1,2:udp\ntcpflags=syn,!ack\ntarget=192.0.2.1\ncommand=`x`\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
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
