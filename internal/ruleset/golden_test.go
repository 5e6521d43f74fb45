package ruleset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// goldenOptions are those of a golden test, by the word in its file's first
// line: "# options: observe prerouting".
func goldenOptions(src string) Options {
	opt := Options{}
	first, _, _ := strings.Cut(src, "\n")
	words, _ := strings.CutPrefix(first, "# options:")
	for _, w := range strings.Fields(words) {
		switch w {
		case "observe":
			opt.Observe = true
		case "prerouting":
			opt.Prerouting = true
		case "live":
			opt.Live = []knock.Step{{Proto: knock.TCP, Port: 443}}
		case "group":
			opt.Group = 77
		}
	}
	return opt
}

// TestGolden compiles every testdata/*.conf with each back end, compares the
// result byte by byte, and has the firewall's own tools check it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".conf"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			base := strings.TrimSuffix(file, ".conf")
			for kind, text := range compileGolden(t, file, src) {
				nettest.Golden(t, base+kind, text)
			}
		})
	}
}

// compileGolden returns what each back end makes of a configuration, by the
// ending of its golden file.
func compileGolden(t *testing.T, file string, src []byte) map[string]string {
	c, err := config.Parse(filepath.Base(file), src)
	if err != nil {
		t.Fatal(err)
	}
	doors, notes, err := FromConfig(c, nil)
	if err != nil {
		return map[string]string{".err": err.Error() + "\n"}
	}
	opt := goldenOptions(string(src))
	if opt.Interfaces, err = Interfaces(c); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	add := func(kind string, text []byte, err error) {
		if err != nil {
			out[".err"] = err.Error() + "\n"
			return
		}
		out[kind] = string(text)
	}
	text, err := Nftables(doors, opt)
	add(".nft", text, err)
	text, err = Iptables(doors, opt)
	add(".rules4", text, err)
	opt.IPv6 = true
	text, err = Iptables(doors, opt)
	add(".rules6", text, err)
	if notes = append(notes, Notes(doors, opt)...); len(notes) > 0 {
		out[".notes"] = strings.Join(notes, "\n") + "\n"
	}
	return out
}

// TestGoldenFilesLoad has nft and both flavours of iptables check every
// golden file, and load it twice.
func TestGoldenFilesLoad(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft", "iptables-nft-restore", "iptables-legacy-restore")
	host := nettest.NewHost(t, "checker")
	files, _ := filepath.Glob("testdata/*")
	for _, file := range files {
		quiet := func(program string, args ...string) {
			if out, err := host.Try(program, append(args, file)...); err != nil || out != "" {
				t.Errorf("%s %v %s: %v\n%s", program, args, file, err, out)
			}
		}
		switch filepath.Ext(file) {
		case ".nft":
			quiet("nft", "-c", "-f")
			quiet("nft", "-f")
			quiet("nft", "-f")
			host.Run("nft", "delete", "table", "inet", Table)
		case ".rules4", ".rules6":
			program := "iptables-"
			if filepath.Ext(file) == ".rules6" {
				program = "ip6tables-"
			}
			for _, flavour := range []string{"nft", "legacy"} {
				quiet(program+flavour+"-restore", "--wait=60", "--test")
				quiet(program+flavour+"-restore", "--wait=60", "--noflush")
				quiet(program+flavour+"-restore", "--wait=60")
			}
		}
	}
}

// TestSameBytes: the same doors give the same text.
func TestSameBytes(t *testing.T) {
	for n := range uint64(20) {
		w := newWorld(1, n, 0)
		for _, compile := range []func([]*Door, Options) ([]byte, error){Nftables, Iptables} {
			a, err := compile(w.doors, Options{})
			if err != nil {
				t.Fatal(err)
			}
			b, _ := compile(newWorld(1, n, 0).doors, Options{})
			if string(a) != string(b) {
				t.Fatalf("set %d: two texts", n)
			}
		}
	}
}
