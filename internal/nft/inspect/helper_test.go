package inspect

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// userSets is a default-drop ruleset of a host with sets of every key.
var userSets = func() string {
	text, err := os.ReadFile("../testdata/user-sets.nft")
	if err != nil {
		panic(err)
	}
	return string(text)
}()

// firewall makes a Firewall in a host, closed with the test, and returns it
// with its options.
func firewall(t testing.TB, h *nettest.Host, o nft.Options) (*nft.Firewall, nft.Options) {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	ns, err := os.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	o.NetNS = int(ns.Fd())
	f, err := nft.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		ns.Close()
	})
	return f, o
}

func ensure(t testing.TB, f *nft.Firewall, doors ...nft.Door) {
	t.Helper()
	if _, err := f.Ensure(doors); err != nil {
		t.Fatal(err)
	}
}

func ports(t testing.TB, s string) []knock.PortRange {
	t.Helper()
	var list []knock.PortRange
	for word := range strings.SplitSeq(s, ",") {
		r, err := knock.ParsePortRange(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func filterSet(name string) knock.SetName {
	return knock.SetName{Table: knock.Table{Family: "inet", Name: "filter"}, Name: name}
}

func lines(list []string) string { return strings.Join(list, "\n") }
