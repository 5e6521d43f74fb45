package nft

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// until is the Left of a trial that ends at a time.
func until(end time.Time) func() time.Duration {
	return func() time.Duration { return time.Until(end) }
}

var sshDoor = Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}}, Timeout: time.Hour}

// TestTrial: what is on trial is closed and opened by knocks, and the kernel
// takes it back though nobody is there; the next run guards no more.
func TestTrial(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			both := nettest.Both("22")
			f := firewall(t, server, Options{Hook: hook})
			f.SetTrial(&Trial{Left: until(time.Now().Add(10 * time.Second))})
			ensure(t, f, sshDoor)
			wantGuarded(t, f, "tcp/22", "")
			if got := rangeNames(f.OnTrial()); got != "tcp/22" {
				t.Errorf("on trial: %s", got)
			}
			client.MustNotReach(both[0])
			client.MustNotReach(both[1])
			open(t, f, Element{Door: sshDoor.DoorID, Addr: addr(nettest.Client4)})
			client.MustReach(both[0])
			if _, err := CloseEverything(f.opt.NetNS); err == nil && !f.noOwner {
				t.Error("somebody else changed our table")
			}
			f.Close()
			if _, err := CloseEverything(f.opt.NetNS); err != nil {
				t.Error(err)
			}
			client.MustNotReach(both[0])
			client.MustNotReach(both[1])
			nettest.Eventually(t, "the kernel takes the trial back", func() bool {
				return client.Reaches(both[0], nettest.Moment) && client.Reaches(both[1], nettest.Moment)
			})

			over := &Trial{Left: func() time.Duration { return -time.Second }}
			f = firewall(t, server, Options{Hook: hook})
			f.SetTrial(over)
			ensure(t, f, sshDoor)
			wantGuarded(t, f, "", "tcp/22")
			client.MustReach(both[0])
			if text := ruleset(server); strings.Contains(text, trialName) || strings.Contains(text, "drop") {
				t.Errorf("left of the trial:\n%s", text)
			}
			f.SetTrial(nil)
			ensure(t, f, sshDoor)
			client.MustNotReach(both[0])
		})
	}
}

// TestTrialRestored: what takes the table away, a restart and a reload leave a
// trial the rest of its time, and never more.
func TestTrialRestored(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	both := nettest.Both("22")
	end := time.Now().Add(7 * time.Second)
	var n notices
	f := firewall(t, server, Options{Notify: n.add})
	f.noOwner = true
	f.SetTrial(&Trial{Left: until(end)})
	ensure(t, f, sshDoor)
	server.Run("nft", "delete table inet knockd")
	nettest.Eventually(t, "a notice", func() bool { return strings.Contains(n.texts(), "put back") })
	client.MustNotReach(both[0])
	// Somebody has it last for ever.
	server.Run("nft", "delete element inet knockd guard_trial { tcp . 22 }; add element inet knockd guard_trial { tcp . 22 : goto guard_tcp_22 }")
	nettest.Eventually(t, "the time is put right", func() bool {
		return strings.Contains(server.Run("nft", "list", "map", "inet", "knockd", "guard_trial"), "expires")
	})
	f.Close()
	f = firewall(t, server, Options{})
	f.SetTrial(&Trial{Left: until(end)})
	ensure(t, f, sshDoor, Door{DoorID: knock.DoorID{Name: "more"}, Ports: ports(t, "tcp/20-30"), Timeout: time.Hour})
	client.MustNotReach(both[1])
	f.Close()
	if left := time.Until(end); left < 0 {
		t.Skip("too slow a machine")
	}
	time.Sleep(time.Until(end.Add(timeSlack))) // the kernel's time
	client.MustReach(both[0])
	client.MustReach(both[1])
}

// TestTrialKeeps: what was closed before stays closed when a trial ends, and
// until it is confirmed also what no door opens any more.
func TestTrialKeeps(t *testing.T) {
	t.Parallel()
	for _, confirm := range []bool{true, false} {
		client, server := nettest.Pair(t)
		for _, port := range []string{":22", ":23", ":24"} {
			server.EchoTCP(port)
		}
		at := func(port string) string { return nettest.Both(port)[0] }
		f := firewall(t, server, Options{})
		ensure(t, f, sshDoor, Door{DoorID: knock.DoorID{Name: "old"}, Ports: ports(t, "tcp/24"), Timeout: time.Hour})
		keep, err := Lasting(f.opt)
		if err != nil || rangeNames(keep) != "tcp/22, tcp/24" {
			t.Fatalf("%v, %v", keep, err)
		}
		left := time.Minute
		f.SetTrial(&Trial{Left: func() time.Duration { return left }, Keep: keep})
		ensure(t, f, Door{DoorID: knock.DoorID{Name: "range"}, Ports: ports(t, "tcp/20-23"), Timeout: time.Hour})
		wantGuarded(t, f, "tcp/20-24", "")
		if got := rangeNames(f.OnTrial()); got != "tcp/20-21, tcp/23" {
			t.Errorf("on trial: %s", got)
		}
		for _, port := range []string{"22", "23", "24"} {
			client.MustNotReach(at(port))
		}
		if got, err := Lasting(f.opt); err != nil || rangeNames(got) != "tcp/22, tcp/24" {
			t.Errorf("%v, %v", got, err)
		}
		if confirm {
			if err := f.Confirm(func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			client.MustReach(at("24"))
			client.MustNotReach(at("22"))
			client.MustNotReach(at("23"))
			if strings.Contains(ruleset(server), trialName) {
				t.Error(ruleset(server))
			}
		} else {
			left = 0
			ensure(t, f, sshDoor)
			client.MustNotReach(at("24"))
			client.MustNotReach(at("22"))
			client.MustReach(at("23"))
		}
		f.Close()
	}
}

// TestConfirm: what was confirmed has no end in the kernel, and is as if it had
// never been on trial; what could not be, runs on.
func TestConfirm(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	both := nettest.Both("22")
	f := firewall(t, server, Options{})
	noted := 0
	note := func() error { noted++; return nil }
	ensure(t, f, sshDoor)
	if err := f.Confirm(note); !errors.Is(err, ErrNoTrial) {
		t.Error(err)
	}
	f.SetTrial(&Trial{Left: func() time.Duration { return 0 }})
	ensure(t, f, sshDoor)
	client.MustReach(both[0])
	if err := f.Confirm(note); !errors.Is(err, ErrTrialOver) {
		t.Error(err)
	}
	if noted > 0 {
		t.Error("noted")
	}

	end := time.Now().Add(3 * time.Second)
	f.SetTrial(&Trial{Left: until(end)})
	ensure(t, f, sshDoor)
	full := errors.New("no space")
	if err := f.Confirm(func() error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
	if got := rangeNames(f.OnTrial()); got != "tcp/22" {
		t.Errorf("on trial: %s", got)
	}
	client.MustNotReach(both[0])
	nettest.Eventually(t, "the trial ends all the same", func() bool { return client.Reaches(both[0], nettest.Moment) })

	end = time.Now().Add(3 * time.Second)
	f.SetTrial(&Trial{Left: until(end)})
	ensure(t, f, sshDoor)
	open(t, f, Element{Door: sshDoor.DoorID, Addr: addr(nettest.Client4)})
	if err := f.Confirm(note); err != nil || noted != 1 {
		t.Fatal(err, noted)
	}
	client.MustReach(both[0])
	if _, err := f.CloseAll(); err != nil {
		t.Fatal(err)
	}
	fresh := nettest.NewHost(t, "fresh")
	g := firewall(t, fresh, Options{})
	ensure(t, g, sshDoor)
	sorted := func(h *nettest.Host) string { // chains stand in the order in which they came
		return lines(slices.Sorted(strings.Lines(ruleset(h))))
	}
	if got, want := sorted(server), sorted(fresh); got != want {
		t.Errorf("confirmed:\n%s\nnever on trial:\n%s", got, want)
	}
	time.Sleep(time.Until(end.Add(timeSlack))) // the kernel's time
	client.MustNotReach(both[0])
	client.MustNotReach(both[1])
}

// TestTrialWaits: while no knock can be heard a trial closes nothing, and
// cannot be confirmed.
func TestTrialWaits(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	listening := false
	f := firewall(t, server, Options{Listening: func() bool { return listening }})
	f.SetTrial(&Trial{Left: func() time.Duration { return time.Minute }})
	ensure(t, f, sshDoor)
	client.MustReach(nettest.Both("22")[0])
	if err := f.Confirm(func() error { t.Error("noted"); return nil }); err == nil || err.Error() != "tcp/22: not closed yet: nothing is listened on" {
		t.Error(err)
	}
	listening = true
	ensure(t, f, sshDoor)
	listening = false
	ensure(t, f, sshDoor)
	client.MustNotReach(nettest.Both("22")[0])
	if got := rangeNames(f.OnTrial()); got != "tcp/22" {
		t.Errorf("on trial: %s", got)
	}
}
