package control

// What readers must not see shows how far attempts are, or counts what happens
// before a door opens: who sees it move when he sends a packet has found a step.

// HideFrom takes out of the reply what a rank may not see.
func (s *StatusReply) HideFrom(r Rank) {
	if r == Admin {
		return
	}
	s.Hits = nil
	limits := []Limit{}
	for _, l := range s.Limits {
		if l.Name == LimitOpenings {
			limits = append(limits, l)
		}
	}
	s.Limits = limits
	if s.Reload != nil {
		s.Reload = &LastReload{At: s.Reload.At, Taken: s.Reload.Taken}
	}
}

// HideFrom takes out of a door what a rank may not see.
func (d *Door) HideFrom(r Rank) {
	if r != Admin {
		d.Steps, d.SeqTimeout, d.Allow, d.Deny, d.Failed = 0, 0, nil, nil, 0
	}
}
