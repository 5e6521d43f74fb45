package daemon

import (
	"time"

	"knockd/internal/config"
	"knockd/internal/eventlog"
	"knockd/internal/history"
	"knockd/internal/knock"
)

// remember has the history take what happens from now on. Of what it knows from
// an earlier run that goes on which the journal holds.
func (d *Daemon) remember() {
	d.history = history.New(historySettings(d.conf), d.Log.Event)
	var held []knock.Opening
	if d.Journal != nil {
		for _, o := range d.Journal.Found() {
			held = append(held, o.Opening)
		}
	}
	d.history.Reconcile(held)
	d.Log.Tap(func(r *eventlog.Record) { d.history.Event(r.At, r.Event) })
}

func historySettings(conf *config.Config) history.Settings {
	return history.Settings{File: conf.HistoryFile, Octets: int64(conf.HistorySize), Age: time.Duration(conf.HistoryDays) * 24 * time.Hour}
}
