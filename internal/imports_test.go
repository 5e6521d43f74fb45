package internal

import (
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the plan of the house: what each room may import of the project
// and of other people's modules. A package that is not in it fails the test.
// golang.org/x/sys and x/net are free for all rooms that are not pure.
var mayImport = map[string]string{
	"action":           "action/command action/nat action/nft action/xtrecent nft openings",
	"action/command":   "cgroup event knock",
	"action/nat":       "action/nft knock",
	"action/nft":       "knock nft",
	"action/xtrecent":  "knock",
	"capture":          "event knock netstate packet github.com/google/gopacket",
	"cgroup":           "",
	"check":            "capture cli config control/server engine event firewall history knock netstate nft/inspect openings openings/journal ruleset statefile mvdan.cc/sh",
	"cli":              "golang.org/x/term",
	"client":           "knock onetime spa statefile",
	"client/plan":      "client fwknop knock profile spa",
	"config":           "knock statefile gopkg.in/ini.v1",
	"control":          "event knock",
	"control/server":   "control event knock statefile",
	"control/show":     "cli control",
	"control/client":   "control github.com/varlink/go",
	"conformance":      "knock nettest github.com/google/gopacket",
	"daemon":           "control control/server action/command capture check config engine event eventlog explain firewall history hostnames knock netstate nft onetime openings replaycache spa statefile trial",
	"demo":             "github.com/vishvananda/netlink github.com/vishvananda/netns",
	"engine":           "config event knock onetime spa",
	"event":            "knock",
	"eventlog":         "event statefile github.com/coreos/go-systemd/v22",
	"firewall":         "config event knock netstate nft nft/inspect",
	"explain":          "cli control event knock spa",
	"fwknop":           "knock spa",
	"history":          "event knock statefile",
	"hostnames":        "",
	"kernellog":        "github.com/florianl/go-nflog",
	"knock":            "",
	"livetest":         "",
	"netstate":         "github.com/mdlayher/netlink",
	"nettest":          "github.com/google/go-cmp github.com/rogpeppe/go-internal",
	"nft":              "event knock github.com/google/nftables github.com/mdlayher/netlink",
	"nft/inspect":      "knock nft github.com/google/nftables",
	"offline":          "capture config engine event explain knock onetime openings replaycache spa",
	"onetime":          "knock statefile",
	"openings":         "event knock openings/journal",
	"openings/journal": "event knock statefile",
	"packet":           "knock github.com/google/gopacket",
	"profile":          "client knock spa statefile",
	"replaycache":      "statefile",
	"ruleset":          "config knock",
	"setup":            "config knock netstate nft nft/inspect profile rsc.io/qr",
	"spa":              "event knock statefile",
	"statefile":        "",
	"trial":            "config knock statefile",
}

// never are the arrows that would break what a room is for, by whatever way
// they would go.
var never = []struct{ from, to, why string }{
	{"knock", "net os/exec log log/slog", "the domain knows no packets, processes or logs"},
	{"nft", "knockd/internal/config", "the kernel knows no file"},
	{"event", "knockd/internal/eventlog knockd/internal/openings knockd/internal/config", "what happened does not know who tells it"},
	{"openings", "knockd/internal/config", "an opening outlives the configuration that made it"},
	{"config", "os/exec", "reading a file runs nothing"},
	{"engine", "os/exec knockd/internal/nft knockd/internal/capture knockd/internal/eventlog knockd/internal/openings", "it decides, it does not act"},
	{"spa", "os/exec", "what decides does not act"},
	{"check", "os/exec knockd/internal/daemon", "it looks, it runs nothing"},
	{"daemon", "net/http crypto/tls", "nothing in the root process talks TCP"},
}

// packages lists the rooms, each with a field of go list.
func packages(t *testing.T, field string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .`+field+` " "}}`, "./...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	rooms := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if room, ok := strings.CutPrefix(words[0], "knockd/internal/"); ok {
			rooms[room] = words[1:]
		}
	}
	return rooms
}

// TestImports: the rooms know only what they need to know.
func TestImports(t *testing.T) {
	for room, imports := range packages(t, "Imports") {
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s: not in the plan", room)
		}
		for _, name := range imports {
			if outside := strings.Contains(name, "."); !outside && !strings.HasPrefix(name, "knockd/") {
				continue // the standard library
			}
			if !mayHave(strings.Fields(allowed+" golang.org/x/sys golang.org/x/net"), name) {
				t.Errorf("%s must not import %s", room, name)
			}
		}
	}
}

func mayHave(allowed []string, name string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return name == a || strings.HasPrefix(name, a+"/") || name == "knockd/internal/"+a
	})
}

// TestNever: what a room must not know, it does not know through others
// either.
func TestNever(t *testing.T) {
	deps := packages(t, "Deps")
	for _, arrow := range never {
		if deps[arrow.from] == nil {
			t.Errorf("no room %s", arrow.from)
		}
		for _, to := range strings.Fields(arrow.to) {
			if slices.Contains(deps[arrow.from], to) {
				t.Errorf("%s must not stand on %s: %s", arrow.from, to, arrow.why)
			}
		}
	}
}

// TestRootProcess: the program that runs as root links nothing that talks TCP, nor
// anything of the client's side of its own socket.
func TestRootProcess(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "knockd/cmd/knockd").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	linked := strings.Fields(string(out))
	for _, name := range []string{"net/http", "crypto/tls", "github.com/varlink/go/varlink", "knockd/internal/control/client"} {
		if slices.Contains(linked, name) {
			t.Errorf("knockd links %s", name)
		}
	}
	if !slices.Contains(linked, "knockd/internal/control/server") {
		t.Error("not the program that runs as root")
	}
}

// TestDomainIsPure: the domain knows no packets, files, processes, clocks or
// logs.
func TestDomainIsPure(t *testing.T) {
	pure := []string{"cmp", "encoding/binary", "errors", "fmt", "hash/maphash", "iter", "maps", "math", "math/bits", "net/netip",
		"slices", "strconv", "strings", "time"}
	for _, name := range packages(t, "Imports")["knock"] {
		if !slices.Contains(pure, name) {
			t.Errorf("knock must not import %s", name)
		}
	}
}

// TestImportOrder: the imports of a file stand in groups, with a line between
// them: the standard library, other people's modules, the project.
func TestImportOrder(t *testing.T) {
	group := func(path string) int {
		first, _, _ := strings.Cut(path, "/")
		switch {
		case first == "knockd":
			return 2
		case strings.Contains(first, "."):
			return 1
		}
		return 0
	}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err == nil && e.IsDir() && e.Name() != ".." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir // what a build has copied is other people's
		case err != nil || e.IsDir() || filepath.Ext(path) != ".go":
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for i, next := range file.Imports[min(1, len(file.Imports)):] {
			last := file.Imports[i]
			was, is := group(strings.Trim(last.Path.Value, `"`)), group(strings.Trim(next.Path.Value, `"`))
			apart := files.Position(next.Pos()).Line - files.Position(last.End()).Line
			if was > is || was == is && apart > 1 || was < is && apart != 2 {
				t.Errorf("%s: %s is not in its group: standard library, other modules, knockd", files.Position(next.Pos()), next.Path.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMap: the map says of each room what its own comment says first.
func TestMap(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\s+`).ReplaceAllString(file.Doc.Text(), " ")
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{"\t"}}{{.Doc}}`, "./...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	for line := range strings.Lines(string(out)) {
		path, comment, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if path == "knockd/internal" {
			continue
		}
		duty := strings.TrimPrefix(strings.TrimPrefix(new(doc.Package).Synopsis(comment), "Package "), "Command ")
		_, duty, _ = strings.Cut(duty, " ")
		duty = strings.TrimPrefix(path, "knockd/internal/") + " " + duty
		if duty == "" || !strings.Contains(text, "- "+duty) {
			t.Errorf("doc.go lacks the sentence of %s: %q", path, duty)
		}
	}
}
