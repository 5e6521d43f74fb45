package daemon

import (
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// judge says with -D what each packet was.
type judge struct{ *Daemon }

// Explain implements engine.Explainer.
func (d judge) Explain(_ time.Time, _ *knock.Hit, verdicts []knock.Verdict) {
	d.Log.Event(event.Judged{Outcome: knock.Foremost(verdicts)})
}

// ExplainMessage implements engine.Explainer: the log says enough.
func (judge) ExplainMessage(time.Time, knock.Hit, spa.Verdict) {}
