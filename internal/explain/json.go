package explain

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"

	"knockd/internal/control"
)

// JSON writes stories for programs, a line each.
type JSON struct {
	W         io.Writer
	Ports     *Ports // which ports are left out
	ShowPorts bool   // none is
}

// storyJSON is a story as JSON has it.
type storyJSON struct {
	Source  netip.Addr       `json:"source"`
	Begin   time.Time        `json:"begin"`
	End     time.Time        `json:"end"`
	Doors   []visitJSON      `json:"doors"`
	Packets []control.Packet `json:"packets"`
	LeftOut int              `json:"left_out"`
	Verdict string           `json:"verdict"`
	Advice  string           `json:"advice,omitempty"`
}

type visitJSON struct {
	Door    string          `json:"door"`
	Stage   int             `json:"stage"`
	Stages  int             `json:"stages"`
	Timeout control.Seconds `json:"timeout,omitzero"`
	Opened  time.Time       `json:"opened,omitzero"`
}

// totalsJSON is the last line.
type totalsJSON struct {
	Totals struct {
		Packets   uint64 `json:"packets"`
		Stories   uint64 `json:"stories"`
		FirstHits uint64 `json:"first_hits"`
		Strays    uint64 `json:"strays"`
		Others    uint64 `json:"others"`
		Missed    uint64 `json:"missed"`
	} `json:"totals"`
}

// Story writes a story.
func (j *JSON) Story(s *Story) error {
	out := storyJSON{
		Source: s.Source, Begin: s.begin(), End: s.End, Doors: []visitJSON{}, Packets: []control.Packet{},
		LeftOut: s.LeftOut, Verdict: s.Verdict, Advice: s.Advice,
	}
	for i := range s.Doors {
		d := &s.Doors[i]
		out.Doors = append(out.Doors, visitJSON{d.Door.String(), d.best, d.Steps, control.Seconds(d.Timeout), d.Opened})
	}
	for i := range s.Packets {
		out.Packets = append(out.Packets, s.Packets[i].Wire(j.Ports, j.ShowPorts))
	}
	return j.line(out)
}

// Totals writes what was seen beside the stories.
func (j *JSON) Totals(t *Totals) error {
	var out totalsJSON
	out.Totals.Packets, out.Totals.Stories, out.Totals.FirstHits = t.Packets, t.Told, t.First
	out.Totals.Strays, out.Totals.Others, out.Totals.Missed = t.Strays, t.Others, t.Missed
	return j.line(out)
}

func (j *JSON) line(v any) error {
	e := json.NewEncoder(j.W)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
