package daemon

import (
	"context"
	"errors"
	"io/fs"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// recentOpener opens doors of iptables rulesets by writing to a list of the
// match recent: that of Opening.Args.
type recentOpener struct{}

// Open implements openings.Native.
func (recentOpener) Open(_ context.Context, o *openings.Opening) error {
	return nft.Recent{Name: o.Args.List}.Open(o.Addr)
}

// Close implements openings.Native.
func (recentOpener) Close(_ context.Context, o *openings.Opening) error {
	err := nft.Recent{Name: o.Args.List}.Close(o.Addr)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no rule has that list any more
	}
	return err
}

// examineLists says which lists of xt_recent cannot be written.
func examineLists(conf *config.Config) (found []event.Event) {
	for _, d := range conf.Doors {
		if d.XtRecent == "" {
			continue
		}
		if err := (nft.Recent{Name: d.XtRecent}).Check(); err != nil {
			found = append(found, event.Finding{Door: d.ID(), Finding: "door " + d.Name + ": " + err.Error()})
		}
	}
	return found
}

// examine says which doors cannot work on this host as it is.
func examine(conf *config.Config) []event.Event {
	return append(examineLists(conf), firewall.Examine(conf)...)
}
