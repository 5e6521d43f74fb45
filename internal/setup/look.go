package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft"
	"knockd/internal/nft/inspect"
)

// Runner runs a program that reads stdin, and returns what it prints.
type Runner func(ctx context.Context, stdin []byte, name string, args ...string) (string, error)

// ErrUnknown is the error where what the host's rules do cannot be found out.
var ErrUnknown = errors.New("what the host's firewall does cannot be told")

// Look looks at this host, for a door of a TCP port, and at its rules but for the
// tables that the options name. An error for which errors.Is(err, ErrUnknown)
// holds comes with all that is not about the firewall.
func Look(ctx context.Context, run Runner, port uint16, o nft.Options) (*Host, error) {
	state, err := netstate.Read()
	if err != nil {
		return nil, err
	}
	h := &Host{Default: state.Default, Connected: netstate.Connected(port), Ephemeral: ephemeral()}
	for _, i := range state.Interfaces {
		if !i.Loopback {
			h.Interfaces = append(h.Interfaces, i)
		}
	}
	for _, l := range netstate.Listeners() {
		h.Listening = append(h.Listening, knock.Step{Proto: knock.Protocol(l.Proto), Port: l.Port})
	}
	if h.Name, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the host's name: %w", err)
	}
	if err := h.lookAtFirewall(ctx, run, knock.PortRange{Proto: knock.TCP, First: port, Last: port}, o); err != nil {
		h.Unexamined, h.Reach = true, [2]Reach{}
		return h, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return h, nil
}

// ephemeral reads the ports of the host's own connections (ip(7)); the zero value
// if there is no saying.
func ephemeral() (r knock.PortRange) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if n, _ := fmt.Sscan(string(text), &r.First, &r.Last); err != nil || n != 2 || r.First == 0 || r.First > r.Last {
		return knock.PortRange{}
	}
	return r
}

// lookAtFirewall follows a packet through the rules in nf_tables and those of
// iptables-legacy. It has to come through both.
func (h *Host) lookAtFirewall(ctx context.Context, run Runner, port knock.PortRange, o nft.Options) error {
	v4, v6, chains, err := inspect.Ports(o, port)
	if err != nil {
		return err
	}
	h.Reach = [2]Reach{{Reach: v4}, {Reach: v6}}
	var older []inspect.Chain
	for i, tool := range []string{"iptables", "ip6tables"} {
		tables, err := os.ReadFile("/proc/thread-self/net/" + strings.TrimSuffix(tool, "tables") + "_tables_names")
		if os.IsNotExist(err) || err == nil && len(strings.Fields(string(tables))) == 0 {
			continue
		}
		reach, more, err := legacy(ctx, run, tool, port)
		if err != nil {
			return err
		}
		older = append(older, more...)
		if r := (Reach{reach[i], true}); r.Access < h.Reach[i].Access || r.Forwarded {
			h.Reach[i] = r
		}
	}
	h.Firewall = h.firewallOf(chains, older)
	return nil
}

// legacy follows a packet through the rules of iptables-legacy, which only it
// can read: as iptables-nft writes them, in a network namespace where there is
// nothing else, and which nobody uses.
func legacy(ctx context.Context, run Runner, tool string, port knock.PortRange) (reach [2]inspect.Reach, chains []inspect.Chain, err error) {
	rules, err := run(ctx, nil, tool+"-legacy-save")
	if err != nil {
		return reach, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the function
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("make a network namespace: %w", err)
			return
		}
		if _, err = run(ctx, []byte(rules), tool+"-nft-restore"); err == nil {
			reach[0], reach[1], chains, err = inspect.Ports(nft.Options{}, port)
		}
	}()
	<-done
	return reach, chains, err
}
