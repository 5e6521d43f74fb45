package history

import (
	"time"

	"knockd/internal/event"
)

const (
	maxPending = 256 << 10   // octets that wait for the disk; beyond, the file is written anew
	gather     = time.Second // what comes within it is written at once
	slack      = time.Hour   // for how long a visit may be in the file beyond its age

	// Before what failed is tried again; each time twice as long.
	leastPause = 30 * time.Second
	mostPause  = time.Hour
)

// write has a line written, soon. The lock is held.
func (h *History) write(line []byte) {
	if h.set.File == "" {
		return
	}
	if !h.anew {
		h.pending = append(h.pending, line...)
	}
	if len(h.pending) > maxPending {
		h.pending, h.anew = nil, true
	}
	h.changed()
}

// changed wakes the writer.
func (h *History) changed() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// keep is the writer.
func (h *History) keep(f *file) {
	timer := time.NewTimer(h.untilOld())
	defer timer.Stop()
	for {
		select {
		case <-h.wake:
		case <-h.settings:
			h.flush(f)
			continue
		case <-timer.C:
			h.purge()
		case <-h.closing:
			h.flush(f)
			f.letGo()
			return
		}
		select {
		case <-time.After(h.rest(f)):
			h.flush(f)
		case <-h.settings:
			h.flush(f)
		case <-h.closing: // is seen once more
		}
		timer.Reset(h.untilOld())
	}
}

// rest returns how long to wait for more, and until the disk may be troubled.
func (h *History) rest(f *file) time.Duration {
	if f.reported {
		return f.pause
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	octets := int64(len(h.pending))
	if h.anew || f.log == nil {
		octets = h.octets
	}
	return max(gather, f.budget.wait(h.now(), h.set.Octets, octets))
}

// untilOld returns how long the oldest visit that is over has to live.
func (h *History) untilOld() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at := h.visits.Front(); at != nil; at = at.Next() {
		if e := at.Value.(*entry); !e.Lasts() {
			return max(e.Opened.Add(h.set.Age).Sub(h.now()), 0) + slack
		}
	}
	return h.set.Age
}

// purge forgets what is too old, in the file too.
func (h *History) purge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forget(h.now()) {
		h.pending, h.anew = nil, true
	}
}

// flush has the file be the one that is wanted, and hold what is to be in it.
func (h *History) flush(f *file) {
	h.mu.Lock()
	want := h.set
	h.mu.Unlock()
	if f.path != want.File || f.lock == nil {
		if err := h.attach(f, want.File); err != nil {
			h.failed(f, err)
			return
		}
	}
	if f.lock == nil {
		return
	}
	err := error(nil)
	lines, anew := h.taken(f)
	if len(lines) > 0 {
		if err = f.append(lines); err != nil {
			anew = true
		}
	}
	if anew {
		text := h.all()
		h.spent(f, len(text))
		err = f.replace(text)
	}
	if err != nil {
		h.failed(f, err)
	} else if f.reported {
		f.reported = false
		h.log(event.HistoryWritten{File: f.path})
	}
}

// taken hands over the lines that the file lacks, or says that it has to be
// written anew.
func (h *History) taken(f *file) (lines []byte, anew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines, anew = h.pending, h.anew || f.log == nil
	h.pending, h.anew = nil, false
	if anew || f.log.Size()+int64(len(lines)) > h.set.Octets {
		return nil, true
	}
	f.budget.spend(h.now(), h.set.Octets, int64(len(lines)))
	return lines, false
}

func (h *History) spent(f *file, octets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.budget.spend(h.now(), h.set.Octets, int64(octets))
}

// failed says once that the file cannot be used. All of it is written later.
func (h *History) failed(f *file, err error) {
	h.mu.Lock()
	h.pending, h.anew = nil, true
	h.mu.Unlock()
	if f.reported {
		f.pause = min(2*f.pause, mostPause)
	} else {
		f.reported, f.pause = true, leastPause
		h.log(event.HistoryFailed{Err: err})
	}
	h.changed()
}

// all returns the text of the whole file. What happens meanwhile is pending.
func (h *History) all() []byte {
	text := []byte(header)
	for above, more := uint64(0), true; more; {
		text, above, more = h.appendPage(text, above)
	}
	return text
}

// appendPage appends some of the visits with a number above, and returns the
// greatest of these numbers.
func (h *History) appendPage(text []byte, above uint64) (_ []byte, greatest uint64, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for at := h.visits.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		if e.n <= above {
			continue
		}
		if n++; n > pageLength {
			return text, greatest, true
		}
		text, greatest = appendVisit(text, e), e.n
	}
	return text, greatest, false
}

// merge takes in what a file holds of the time before: all that is not here too.
func (h *History) merge(visits []*Visit) {
	old := make([]*entry, 0, len(visits))
	for _, v := range visits {
		e := &entry{Visit: *v}
		e.octets = int64(len(appendVisit(nil, e)))
		old = append(old, e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	type mark struct {
		key
		opened time.Time
	}
	markOf := func(v *Visit) mark { return mark{keyOf(v.Door, v.For, v.What), v.Opened.UTC()} }
	known := map[mark]bool{}
	now := h.visits
	for at := now.Front(); at != nil; at = at.Next() {
		known[markOf(&at.Value.(*entry).Visit)] = true
	}
	h.clear()
	for _, e := range old {
		if known[markOf(&e.Visit)] {
			continue
		}
		if h.reconciled && e.Lasts() {
			e.Why = whyLost
		}
		h.insert(e)
	}
	for at := now.Front(); at != nil; at = at.Next() {
		h.insert(at.Value.(*entry))
	}
	h.forget(h.now())
	h.trim()
	h.pending, h.anew = nil, true
	h.changed()
}
