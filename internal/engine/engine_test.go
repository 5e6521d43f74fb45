package engine

import (
	"net/netip"
	"testing"
	"time"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// logged is effects that tell a log what happens, and nothing else.
type logged struct {
	Effects
	log *eventlog.Log
}

func (l logged) Allows() bool                    { return l.log.Allows() }
func (l logged) Tell(_ time.Time, e event.Event) { l.log.Event(e) }
func (logged) Show(time.Time, event.Event)       {}

// TestLeftOutCostsNothing: of a decision that strangers cause nothing is made when
// nothing of it is written, be it a stage, a timeout or a refusal.
func TestLeftOutCostsNothing(t *testing.T) {
	log := eventlog.New(eventlog.Outputs{}, 0)
	defer log.Close()
	e := New(&config.Config{}, nil, nil, Options{Effects: logged{log: log}})
	door := &knock.Door{Name: "ssh", N: 1, Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}}}
	src := netip.MustParseAddr("192.0.2.7")
	decided := []knock.Decision{{Kind: knock.Stage, Door: door, Src: src, Stage: 1}, {Kind: knock.Expired, Door: door, Src: src, Stage: 1}}
	refused := spa.Verdict{Outcome: spa.Unknown, Src: src, Reason: "made with no key of this host"}
	var hit knock.Hit
	at := time.Now()
	flood := func() {
		e.act(decided, at)
		e.examined(&hit, nil, refused, at)
	}
	flood() // the first one left out starts a timer
	if n := testing.AllocsPerRun(1000, flood); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
