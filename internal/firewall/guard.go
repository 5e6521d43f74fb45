package firewall

import (
	"errors"
	"fmt"
	"slices"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nft"
)

// Guard loads the guard of a configuration's native doors, without openings,
// for the time before the daemon starts; t is nil unless it is on trial. It
// returns the ports that it closes, and those that it would if it were not.
func Guard(conf *config.Config, t *nft.Trial) (closed, open []knock.PortRange, doubts []event.Event, err error) {
	if !closesPorts(conf) {
		return nil, nil, nil, errors.New("no door with open in nft_mode = guard: nothing to guard")
	}
	fw, err := Connect(Options(conf, nil))
	if err != nil {
		return nil, nil, nil, err
	}
	defer fw.Close()
	fw.SetTrial(t)
	doubts, err = fw.Ensure(Doors(conf))
	closed, open = fw.Guarded()
	return closed, open, doubts, err
}

// closesPorts reports whether native doors' ports are closed to all others.
func closesPorts(conf *config.Config) bool {
	return Options(conf, nil).Mode.Closes() && opensPorts(conf)
}

// Closes reports whether the guard closes all of the ports to those who have not
// knocked.
func Closes(conf *config.Config, ports []knock.PortRange) bool {
	if !closesPorts(conf) {
		return false
	}
	return !slices.ContainsFunc(ports, func(p knock.PortRange) bool {
		return !slices.ContainsFunc(conf.Doors, func(d *config.Door) bool {
			return slices.ContainsFunc(MayOpen(d), func(r knock.PortRange) bool { return r.Holds(p) })
		})
	})
}

// Connect connects to the kernel for a table.
func Connect(o nft.Options) (*nft.Firewall, error) {
	fw, err := nft.New(o)
	if err != nil {
		return nil, fmt.Errorf("connect to nf_tables: %w", err)
	}
	return fw, nil
}

// Unheard says what it would mean for the ports of a configuration that
// nothing is listened on, and which are closed then, as in "tcp/22 is". Without the
// privilege to look at the guard it says nothing.
func Unheard(conf *config.Config) (means []event.Event, closed string) {
	if !closesPorts(conf) {
		return nil, ""
	}
	c, o, err := nft.Closed(Options(conf, nil), Doors(conf))
	if err != nil {
		return nil, ""
	}
	if len(c) > 0 {
		closed = event.Are(c)
	}
	return NotListening(c, o), closed
}

// NotListening says what it means to those outside that nothing is listened on,
// by the ports that the guard keeps closed and those that it has left open.
func NotListening(closed, open []knock.PortRange) (events []event.Event) {
	if len(closed) > 0 {
		events = append(events, event.GuardDeaf{Ports: closed})
	}
	if len(open) > 0 {
		events = append(events, event.GuardDeaf{Ports: open, Open: true})
	}
	return events
}
