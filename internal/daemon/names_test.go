package daemon

import (
	"net/netip"
	"testing"

	"knockd/internal/engine"
)

// TestLookup: no line waits for a name; the first step asks for none.
func TestLookup(t *testing.T) {
	inWorld(t, "[a]\nsequence = 1,2,3\ncmd_timeout = 3600\n", func(w *world) {
		names := &fakeNames{}
		w.d.engine = engine.New(w.d.conf, w.d.engine.Doors(), nil, engine.Options{Names: names, Effects: effects{w.d}})
		w.d.engine.SetLocal([]netip.Addr{local4})
		w.said()
		w.knock("192.0.2.1", 1)
		if names.asked != 0 {
			t.Error("asked for a name at the first stage")
		}
		w.knock("192.0.2.1", 2)
		names.name = "knocker.example"
		w.knock("192.0.2.1", 3)
		w.says(`
192.0.2.1: a: Stage 1
192.0.2.1: a: Stage 2
192.0.2.1 (knocker.example): a: Stage 3
192.0.2.1 (knocker.example): a: OPEN SESAME
`)
		if names.asked != 1 {
			t.Errorf("asked %d times, want 1", names.asked)
		}
	})
}

// fakeNames has one name for everybody, once it has been asked.
type fakeNames struct {
	asked int
	name  string
}

func (f *fakeNames) Of(netip.Addr) string { return f.name }

func (f *fakeNames) Want(netip.Addr) {
	if f.name == "" {
		f.asked++
	}
}
