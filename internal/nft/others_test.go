package nft

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// TestKilled: the program dies, the guard stands, the next one adopts it with
// the openings, and nobody got in meanwhile.
func TestKilled(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	nettest.NeedProgram(t, "nft")
	cmd := exec.Command("/proc/self/exe", childArg, nettest.Client4)
	cmd.Args[0] = "knockd"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	door := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: 20 * time.Second}
	second := firewall(t, server, Options{})
	if _, err := second.Ensure([]Door{door}); err == nil ||
		!strings.Contains(err.Error(), "table inet knockd belongs to a running program (netlink port ") ||
		!strings.HasSuffix(err.Error(), "choose another with nft_table") {
		if _, ok := second.k.(*conn); ok && second.noOwner {
			nettest.LacksKernel(t, "owners of tables")
		}
		t.Errorf("while the first lives: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	client.MustReach(nettest.Both("22")[0])
	client.MustNotReach(nettest.Both("22")[1])
	f := firewall(t, server, Options{})
	ensure(t, f, door)
	all := list(t, f)
	if words(all) != "ssh/1 10.7.0.1/32" || all[0].Timeout > 20*time.Second {
		t.Errorf("adopted: %v", all)
	}
	client.MustReach(nettest.Both("22")[0])
	client.MustNotReach(nettest.Both("22")[1])
	if closed, err := f.CloseFor(knock.DoorID{Name: "ssh"}, addr(nettest.Client4)); err != nil || len(closed) != 1 {
		t.Errorf("closed %v, %v", closed, err)
	}
	client.MustNotReach(nettest.Both("22")[0])
}

// TestOwned: others can neither delete nor change nor flush our table.
func TestOwned(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	var n notices
	f := firewall(t, server, Options{Notify: n.add})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute})
	if f.noOwner {
		nettest.LacksKernel(t, "owners of tables")
	}
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client6)})
	before := ruleset(server)
	for _, command := range []string{
		"delete table inet knockd", "flush table inet knockd", "flush set inet knockd door6_ssh",
		"add element inet knockd door4_ssh { 10.7.0.1 }",
	} {
		if out, err := server.Try("nft", command); err == nil || !strings.Contains(out, "not permitted") {
			t.Errorf("nft %s: %v, %s", command, err, out)
		}
	}
	server.Run("nft", "flush", "ruleset")
	if after := ruleset(server); after != before {
		t.Errorf("after nft flush ruleset:\n%s", after)
	}
	client.MustReach(nettest.Both("22")[1])
	client.MustNotReach(nettest.Both("22")[0])
	if got := n.texts(); got != "" {
		t.Errorf("notices: %s", got)
	}
}

// restored is what an element that was put back has in place of its first
// timeout.
var restored = regexp.MustCompile(` timeout [0-9dhms]+`)

// TestPutBack: where the kernel knows no owner, what others take away is put
// back with the time that is left.
func TestPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, command string }{
		{"flush ruleset", "flush ruleset"},
		{"delete table", "delete table inet knockd"},
		{"flush table", "flush table inet knockd"},
		{"delete rule", "delete rule inet knockd guard handle HANDLE"},
		{"add rule", "insert rule inet knockd guard tcp dport 22 accept"},
		{"map emptied", "flush map inet knockd guard_ports"},
		{"dormant", "add table inet knockd { flags dormant; }"},
		{"made anew", "delete table inet knockd; add table inet knockd; add set inet knockd door4_ssh { type ipv4_addr; flags timeout; }; add set inet knockd door6_ssh { type ipv6_addr; flags timeout; }"},
		{"another's chain", "delete table inet knockd; add table inet knockd; add chain inet knockd guard_tcp_22; add chain inet knockd guard { type filter hook output priority 5; policy drop; }"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			var n notices
			f := firewall(t, server, Options{Notify: n.add})
			f.noOwner = true
			w := ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute})
			if lines(w) != "table inet knockd cannot be owned (that needs Linux 6.9): other programs can change it; if they do, it is put back" {
				t.Errorf("warnings: %v", w)
			}
			open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client6), Timeout: time.Hour})
			before := restored.ReplaceAllString(ruleset(server), "")
			command := strings.Replace(tt.command, "HANDLE", lastHandle(server), 1)
			server.Run("nft", command)
			nettest.Eventually(t, "a notice", func() bool { return n.texts() != "" })
			if got := n.texts(); !strings.HasPrefix(got, `table inet knockd was changed by "nft" (process `) ||
				!strings.HasSuffix(got, "): put back, with 1 openings") {
				t.Errorf("notice: %s", got)
			}
			if after := restored.ReplaceAllString(ruleset(server), ""); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if all := list(t, f); words(all) != "ssh/1 fd07::1/128" || all[0].Timeout < 59*time.Minute || all[0].Timeout > time.Hour {
				t.Errorf("open: %v", all)
			}
			client.MustReach(nettest.Both("22")[1])
			client.MustNotReach(nettest.Both("22")[0])
		})
	}
}

// lastHandle is the handle of the last rule of the guard.
func lastHandle(h *nettest.Host) string {
	text := h.Run("nft", "-a", "list", "chain", "inet", "knockd", "guard")
	_, handle, _ := strings.Cut(text[strings.LastIndex(text, "vmap"):], "handle ")
	return strings.Fields(handle)[0]
}

// TestClosedByHand: an element that somebody deletes is a door that somebody
// has closed.
func TestClosedByHand(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	var n notices
	f := firewall(t, server, Options{Notify: n.add})
	f.noOwner = true
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute})
	for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(a)})
	}
	server.Run("nft", "delete element inet knockd door4_ssh { 192.0.2.1 }")
	nettest.Eventually(t, "a notice", func() bool { return n.texts() != "" })
	if got := n.texts(); !strings.HasPrefix(got, `1 openings were closed by "nft" (process `) {
		t.Errorf("notice: %s", got)
	}
	if got := lines(n.closed()); got != "ssh/1 192.0.2.1/32" {
		t.Errorf("closed: %s", got)
	}
	wantList(t, f, "ssh/1 192.0.2.2/32")
}

// TestNotOurs: a table that others have made is left alone.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load("table inet knockd {\nset mine { type ipv4_addr; }\n}")
	before := ruleset(server)
	f := firewall(t, server, Options{})
	_, err := f.Ensure([]Door{{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22")}})
	if err == nil || err.Error() != "table inet knockd is there already and was not made by knockd: choose another with nft_table" {
		t.Errorf("Ensure: %v", err)
	}
	ensure(t, f)
	if done, err := Cleanup(f.opt.NetNS); err != nil || len(done) > 0 {
		t.Errorf("Cleanup: %v, %v", done, err)
	}
	if after := ruleset(server); after != before {
		t.Errorf("changed to:\n%s", after)
	}
}

// TestSavedAndLoaded: a table that went through `nft list ruleset` and back,
// as when somebody saves the ruleset for the next boot, is ours with all
// openings.
func TestSavedAndLoaded(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	door := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
	f := firewall(t, server, Options{})
	ensure(t, f, door)
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.1")})
	f.Close()
	saved := owner.ReplaceAllString(server.Run("nft", "list", "ruleset"), "")
	server.Run("nft", "flush", "ruleset")
	server.Load(saved)
	f = firewall(t, server, Options{})
	ensure(t, f, door)
	wantList(t, f, "ssh/1 192.0.2.1/32")
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.2")})
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load(userSets)
	host := ruleset(server)
	// Three generations of configurations, all of which are gone.
	for _, o := range []Options{{}, {Mode: Mark, Table: knock.Table{Family: "inet", Name: "other"}}, {Mode: Set}} {
		f := firewall(t, server, o)
		d := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
		if o.Mode == Set {
			d.Set4, d.Set6 = filterSet("addr4"), filterSet("port6")
		}
		ensure(t, f, d)
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.1")})
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("2001:db8::1")})
		f.Close()
	}
	ns, err := os.Open(server.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	done, err := CloseEverything(int(ns.Fd()))
	want := []string{
		"took 1 elements out of set inet filter addr4",
		"took 1 elements out of set inet filter port6",
		"closed 1 openings in set inet knockd door4_ssh",
		"closed 1 openings in set inet knockd door6_ssh",
		"closed 1 openings in set inet other door4_ssh",
		"closed 1 openings in set inet other door6_ssh",
	}
	if err != nil || lines(event.Texts(done)) != lines(want) {
		t.Errorf("CloseEverything: %v\n%s", err, lines(event.Texts(done)))
	}
	if done, err := CloseEverything(int(ns.Fd())); err != nil || len(done) > 0 {
		t.Errorf("CloseEverything again: %v, %v", done, err)
	}
	done, err = Cleanup(int(ns.Fd()))
	want = []string{
		"deleted table inet knockd: the ports it guarded are no longer closed by it",
		"deleted table inet other: the ports it guarded are no longer closed by it",
	}
	if err != nil || lines(event.Texts(done)) != lines(want) {
		t.Errorf("Cleanup: %v\n%s", err, lines(event.Texts(done)))
	}
	if got := ruleset(server); got != host {
		t.Errorf("left:\n%s", got)
	}
}

// TestCleanupWhileRunning: the kernel defends the table of a running daemon.
func TestCleanupWhileRunning(t *testing.T) {
	t.Parallel()
	f := firewall(t, nettest.NewHost(t, "server"), Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22")})
	if f.noOwner {
		nettest.LacksKernel(t, "owners of tables")
	}
	done, err := Cleanup(f.opt.NetNS)
	if err == nil || !strings.HasPrefix(err.Error(), "delete table inet knockd: CAP_NET_ADMIN is missing, or the table belongs to another program: ") || len(done) > 0 {
		t.Errorf("Cleanup: %v, %v", done, err)
	}
}

// TestLeftovers: what an earlier configuration has left is said, what a living
// program or this configuration uses is not.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	_, server := nettest.Pair(t)
	door := Door{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "tcp/22, udp/60001-60010"), Timeout: time.Minute}
	f := firewall(t, server, Options{})
	ensure(t, f, door)
	netns := f.opt.NetNS
	if got, err := Leftovers(netns, DefaultTable); err != nil || len(got) > 0 {
		t.Errorf("used: %q, %v", got, err)
	}
	if got, err := Leftovers(netns); err != nil || len(got) > 0 && !f.noOwner {
		t.Errorf("owned: %q, %v", got, err)
	}
	f.Close()
	const want = "table inet knockd, which another configuration has left, still closes tcp/22, udp/60001-60010 to all; " +
		"if no other knockd uses it: nft delete table inet knockd"
	if got, err := Leftovers(netns); err != nil || lines(event.Texts(got)) != want {
		t.Errorf("left: %q, %v", got, err)
	}
}
