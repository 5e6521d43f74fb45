package ruleset

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// hostile are names that say more than a name to a firewall tool.
var hostile = []string{
	`x" accept #`, `x\`, `x\" accept`, "x\n*filter", "x\r\n", "x; drop", "x }", "x$(id)", "x`id`", "x'", "#x", "x #", "-j ACCEPT", "*", "x*", "+", "x+",
	"!x", "{x}", "@x y", "%s", "é\u2028x", "\xff\"", "x\x00", "x\u0085-A INPUT", " x ", "include \"/x\"", "$x", "<x>", "x,y", "x=y",
}

// TestHostileInterfaces: a name that could end the text around it, or mean
// other interfaces too, is refused.
func TestHostileInterfaces(t *testing.T) {
	for _, name := range append(hostile, "", "-x", "x:1") {
		opt := Options{Interfaces: []string{"eth0", name}}
		doors := []*Door{plainDoor("a")}
		_, nftErr := Nftables(doors, opt)
		_, iptErr := Iptables(doors, opt)
		want := fmt.Sprintf("interface %q: a ruleset takes names of letters, digits and _ . @ - only", name)
		if fmt.Sprint(nftErr) != want || fmt.Sprint(iptErr) != want {
			t.Errorf("%q: %v, %v", name, nftErr, iptErr)
		}
		doors[0].OpenOn = name
		_, nftErr = Nftables(doors, Options{})
		_, iptErr = Iptables(doors, Options{})
		ok := name == "" || name == "x+" // for all; for all that begin so, as iptables writes it
		if (nftErr == nil) != ok || (iptErr == nil) != ok {
			t.Errorf("opens on %q: %v, %v", name, nftErr, iptErr)
		}
	}
	if _, err := Nftables([]*Door{plainDoor("a")}, Options{Interfaces: []string{"eth0", "wlp2s0.5", "br-lan", "tun_1", "a@b"}}); err != nil {
		t.Error(err)
	}
	_, err := Interfaces(&config.Config{Interfaces: []string{"eth0:1"}})
	if want := "interface = eth0:1: a ruleset knows no labels of addresses; name the interface, and the address as target of the doors"; fmt.Sprint(err) != want {
		t.Error(err)
	}
}

func plainDoor(name string) *Door {
	return &Door{
		Door: knock.Door{Name: name, Timeout: 9 * time.Second, Target: netip.MustParseAddr("192.0.2.1"),
			Sequence: []knock.Step{{Proto: knock.TCP, Port: 7000}, {Proto: knock.UDP, Port: 8000}}},
		Open: []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}}, CmdTimeout: time.Minute,
	}
}

// hostileDoors are doors of which one bears the name, others close it, and
// one opens more ports than a line holds.
func hostileDoors(name string) []*Door {
	closer, long := plainDoor("z"), plainDoor("long")
	closer.Open, closer.Closes = nil, []string{name}
	long.Open, long.Closes = nil, []string{name}
	for port := uint16(1); port < 2500; port += 2 {
		long.Open = append(long.Open, knock.PortRange{Proto: knock.TCP, First: port, Last: port})
	}
	return []*Door{plainDoor(name), closer, long}
}

var backends = map[string]func([]*Door, Options) ([]byte, error){"nft": Nftables, "iptables-restore": Iptables}

// TestHostileDoors: a door's name changes comments, and otherwise names alone:
// the rules have the same form.
func TestHostileDoors(t *testing.T) {
	for _, name := range hostile {
		for kind, compile := range backends {
			got, err := compile(hostileDoors(name), Options{})
			want, wantErr := compile(hostileDoors("plain"), Options{})
			if err != nil || wantErr != nil {
				t.Errorf("%q: %v, %v", name, err, wantErr)
			} else if form(t, string(got)) != form(t, string(want)) {
				t.Errorf("%s, %q: another form", kind, name)
			}
		}
	}
}

// TestHostileDoorsLoad: the firewall tools take them.
func TestHostileDoorsLoad(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedRealRoot(t) // who alone may send so many rules at once
	nettest.NeedProgram(t, "nft", "iptables-restore")
	h := nettest.NewHost(t, "h")
	path := filepath.Join(t.TempDir(), "rules")
	var all []*Door
	for _, name := range hostile {
		all = append(all, plainDoor(name))
	}
	for kind, compile := range backends {
		rules, err := compile(append(hostileDoors(`x\`)[1:], all...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, rules, 0o600); err != nil {
			t.Fatal(err)
		}
		args := map[string][]string{"nft": {"-f", path}, "iptables-restore": {"--noflush", path}}[kind]
		if out, err := h.Try(kind, args...); err != nil || out != "" {
			t.Errorf("%s: %v: %.300s", kind, err, out)
		}
	}
	if tables := strings.Fields(h.Run("nft", "list", "tables")); len(tables) != 6 {
		t.Errorf("tables: %v", tables)
	}
}

// form is a ruleset without comments, with each word made the same.
func form(t *testing.T, text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if len(line) > 10_000 && strings.HasPrefix(line, "#") {
			t.Errorf("a comment of %d octets", len(line))
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if strings.Trim(line, "\t") != line || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", line)
		}
		out = append(out, fmt.Sprint(strings.Count(line, `"`), " ", strings.Count(line, "{"), " ", line[0]))
	}
	return strings.Join(out, "\n")
}
