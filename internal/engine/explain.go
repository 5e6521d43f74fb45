package engine

import (
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Explainer is told what each packet was, after what it led to.
type Explainer interface {
	// Explain tells what a packet was to the doors with sequences: at least one
	// verdict. They are valid during the call. It is not called for one that is
	// no step and may hold a message.
	Explain(at time.Time, hit *knock.Hit, verdicts []knock.Verdict)
	// ExplainMessage tells what a packet was that may hold a message for a door
	// with keys. Others may have been explained since it came; the time is that
	// of the packet, or of the last that came with it.
	ExplainMessage(at time.Time, hit knock.Hit, verdict spa.Verdict)
}

// SetExplainer has somebody told what each packet was; nil: nobody, which costs
// least.
func (e *Engine) SetExplainer(x Explainer) {
	e.explain = x
	e.tracker.SetExplaining(x != nil)
}

func (e *Engine) explainMessage(at time.Time, hit *knock.Hit, verdict *spa.Verdict) {
	if e.explain != nil {
		e.explain.ExplainMessage(at, *hit, *verdict)
	}
}
