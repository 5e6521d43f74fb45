package openings

import (
	"container/heap"
	"slices"

	"knockd/internal/knock"
)

// pool shares a bounded number of workers between the doors. While there are
// enough, openings get theirs in the order they came. Else the door that has
// fewest workers is served first, and of its openings the oldest.
type pool struct {
	shares
	came  []*entry // since next was asked last
	doors neediest // that wait
}

func newPool(limit int) pool { return pool{shares: newShares(limit)} }

// add has an opening wait for a worker; next looks whether there is one.
func (p *pool) add(e *entry) { p.came = append(p.came, e) }

// next returns the opening that gets a free worker; nil if none waits or none
// may have one. What came in another state than the one to wait in has left.
func (p *pool) next(waiting state) *entry {
	if len(p.doors) > 0 && p.admits(p.doors[0].taken) {
		e := p.doors[0].line[0]
		p.leave(e)
		p.take(e.Door)
		return e
	}
	for len(p.came) > 0 {
		e := p.came[0]
		p.came = p.came[1:]
		if e.state != waiting {
			continue
		}
		if p.admits(p.has(e.Door)) {
			p.take(e.Door)
			return e
		}
		p.wait(e)
	}
	p.came = nil
	return nil
}

// wait puts an opening at the end of its door's line.
func (p *pool) wait(e *entry) {
	d := p.share(e.Door)
	d.line = append(d.line, e)
	e.waits = true
	if d.place < 0 {
		heap.Push(&p.doors, d)
	}
}

// leave takes an opening out of the line it waits in, if it does.
func (p *pool) leave(e *entry) {
	if !e.waits {
		return
	}
	e.waits = false
	d := p.share(e.Door)
	switch i := slices.Index(d.line, e); {
	case len(d.line) == 1:
		heap.Remove(&p.doors, d.place)
		d.line = nil
	case i == 0:
		d.line[0] = nil
		d.line = d.line[1:]
		heap.Fix(&p.doors, d.place)
	default:
		d.line = slices.Delete(d.line, i, i+1)
	}
	p.tidy(d)
}

func (p *pool) take(door knock.DoorID)     { p.fix(p.shares.take(door)) }
func (p *pool) giveBack(door knock.DoorID) { p.fix(p.shares.giveBack(door)) }

// fix puts a door whose number of workers has changed in its place.
func (p *pool) fix(d *share) {
	if d.place >= 0 {
		heap.Fix(&p.doors, d.place)
	}
}

// busy reports whether a worker runs or an opening waits for one.
func (p *pool) busy() bool { return p.taken+len(p.came)+len(p.doors) > 0 }

// neediest is a heap of the doors that wait: who has fewest workers is first,
// of several the one whose opening is the oldest.
type neediest []*share

func (n neediest) Len() int { return len(n) }
func (n neediest) Less(i, j int) bool {
	if n[i].taken != n[j].taken {
		return n[i].taken < n[j].taken
	}
	return n[i].line[0].id < n[j].line[0].id
}
func (n neediest) Swap(i, j int) {
	n[i], n[j] = n[j], n[i]
	n[i].place, n[j].place = i, j
}

// Push implements heap.Interface.
func (n *neediest) Push(x any) {
	d := x.(*share)
	d.place = len(*n)
	*n = append(*n, d)
}

// Pop implements heap.Interface.
func (n *neediest) Pop() any {
	old := *n
	d := old[len(old)-1]
	d.place = -1
	old[len(old)-1] = nil
	*n = old[:len(old)-1]
	return d
}
