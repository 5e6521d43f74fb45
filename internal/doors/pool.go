package doors

// pool hands a bounded number of workers to openings, in the order they came.
type pool struct {
	limit   int
	running int
	queue   []*entry
}

func (p *pool) add(e *entry) { p.queue = append(p.queue, e) }

// next is the opening that gets a free worker; nil if none waits or none is
// free. Openings that are no longer in the state they waited in have left.
func (p *pool) next(waiting state) *entry {
	for p.running < p.limit && len(p.queue) > 0 {
		e := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		if e.state == waiting {
			p.running++
			return e
		}
	}
	return nil
}
