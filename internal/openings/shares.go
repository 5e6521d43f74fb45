package openings

import "knockd/internal/knock"

// shares divides a number of places between doors so that, whatever one door
// has, another finds room: a door has no more of them than were left free when
// it took its last one. So one door has at most half of the places, and two
// have three quarters. Nothing is taken from a door that has it. A door that
// has none gets the last one, too.
type shares struct {
	limit, taken int
	of           map[knock.DoorID]*share // of the doors that have a place or wait for one
}

// share is what one door has.
type share struct {
	door  knock.DoorID
	taken int
	line  []*entry // that wait for a place
	place int      // in the heap of those that wait; -1: none does
}

func newShares(limit int) shares { return shares{limit: limit, of: map[knock.DoorID]*share{}} }

// has returns how many places a door has.
func (s *shares) has(door knock.DoorID) int {
	if d := s.of[door]; d != nil {
		return d.taken
	}
	return 0
}

// admits reports whether a door that has so many places gets one more.
func (s *shares) admits(has int) bool {
	left := s.limit - s.taken - 1
	return left >= 0 && (has == 0 || has+1 <= left)
}

// share returns the share of a door, an empty one if it has none yet.
func (s *shares) share(door knock.DoorID) *share {
	d := s.of[door]
	if d == nil {
		d = &share{door: door, place: -1}
		s.of[door] = d
	}
	return d
}

// take gives a door a place, whether there is one or not.
func (s *shares) take(door knock.DoorID) *share {
	d := s.share(door)
	d.taken++
	s.taken++
	return d
}

// giveBack takes a place from a door.
func (s *shares) giveBack(door knock.DoorID) *share {
	d := s.share(door)
	d.taken--
	s.taken--
	s.tidy(d)
	return d
}

// tidy forgets a share that is nothing.
func (s *shares) tidy(d *share) {
	if d.taken == 0 && len(d.line) == 0 {
		delete(s.of, d.door)
	}
}
