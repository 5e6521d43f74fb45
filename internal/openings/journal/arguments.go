package journal

import (
	"net/netip"
	"strings"

	"knockd/internal/knock"
)

// arguments is knock.Arguments in the journal.
type arguments struct {
	Version int            `json:"v"`
	Port    string         `json:"port,omitempty"` // "tcp/22"
	To      netip.AddrPort `json:"to,omitzero"`
	List    rawText        `json:"list,omitempty"`
}

// command is the action of records that name none: they hold a stop command.
const command = "command"

// argumentsOf returns what the journal keeps of an opening's arguments, nil of
// a command.
func argumentsOf(o *knock.Opening) *arguments {
	if o.Action == command {
		return nil
	}
	a := &arguments{Version: 1, To: o.Args.To, List: rawText(o.Args.Value)}
	if o.Args.Port != (knock.Step{}) {
		a.Port = o.Args.Port.Ports().String()
	}
	return a
}

// arguments reads them back; ok is false if they cannot be understood.
func (l *line) arguments() (a knock.Arguments, ok bool) {
	if l.Kind == "" {
		return a, true
	}
	stored := arguments{Version: 1}
	switch {
	case l.Args != nil:
		stored = *l.Args
	case l.Kind != "nft" && l.Kind != "nat": // the value of a key
		stored.List = l.Data
	default: // "tcp/22", or "tcp/22 10.0.0.5:22" where the port leads elsewhere
		port, to, leads := strings.Cut(string(l.Data), " ")
		stored.Port = port
		if leads {
			var err error
			if stored.To, err = netip.ParseAddrPort(to); err != nil {
				return a, false
			}
		}
	}
	a = knock.Arguments{Version: stored.Version, To: stored.To, Value: string(stored.List)}
	if stored.Port != "" {
		ports, err := knock.ParsePortRange(stored.Port)
		if err != nil || ports.Proto == 0 || ports.Len() != 1 {
			return a, false
		}
		a.Port = knock.Step{Proto: ports.Proto, Port: ports.First}
	}
	return a, stored.Version == 1
}
