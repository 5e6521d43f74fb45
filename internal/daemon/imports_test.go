package daemon

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the plan of the house: what each room may import of the project
// and of other people's modules. A package that is not in it fails the test.
var mayImport = map[string]string{
	"capture":     "knock netstate packet github.com/google/gopacket golang.org/x/net golang.org/x/sys",
	"client":      "knock onetime spa golang.org/x/sys",
	"command":     "golang.org/x/sys",
	"config":      "knock gopkg.in/ini.v1",
	"conformance": "knock nettest github.com/google/gopacket",
	"daemon": "capture command config doors eventlog knock netstate nft once onetime spa spaconf " +
		"github.com/google/nftables golang.org/x/sys",
	"demo":      "github.com/vishvananda/netlink github.com/vishvananda/netns",
	"doors":     "golang.org/x/sys",
	"eventlog":  "",
	"fwknop":    "spa",
	"kernellog": "github.com/florianl/go-nflog",
	"knock":     "",
	"livetest":  "",
	"netstate":  "github.com/mdlayher/netlink golang.org/x/net golang.org/x/sys",
	"nettest":   "",
	"nft":       "knock github.com/google/nftables github.com/mdlayher/netlink golang.org/x/net golang.org/x/sys",
	"once":      "",
	"onetime":   "knock golang.org/x/sys",
	"packet":    "knock github.com/google/gopacket",
	"profile":   "client knock spa",
	"ruleset":   "config knock",
	"spa":       "knock",
	"spaconf":   "config spa",
}

// TestImports: the rooms know only what they need to know. The domain knows
// nobody.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "knockd/internal/...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		room := strings.TrimPrefix(path, "knockd/internal/")
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s: not in the plan", room)
		}
		for _, name := range strings.Fields(imports) {
			if outside := strings.Contains(name, "."); !outside && !strings.HasPrefix(name, "knockd/") {
				continue // the standard library
			}
			if !mayHave(strings.Fields(allowed), name) {
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

// TestDomainIsPure: the domain knows no packets, files, processes, clocks or
// logs.
func TestDomainIsPure(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, "knockd/internal/knock").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	pure := []string{"cmp", "encoding/binary", "fmt", "hash/maphash", "iter", "maps", "math", "math/bits", "net/netip",
		"slices", "strconv", "strings", "time"}
	for _, name := range strings.Fields(string(out)) {
		if !slices.Contains(pure, name) {
			t.Errorf("knock must not import %s", name)
		}
	}
}
