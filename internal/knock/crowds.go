package knock

// crowd is the attempts at one door, oldest first.
type crowd struct {
	list list
	// rank orders the doors: by how many attempts they have and, where that
	// is equal, as they stand in the file. It is their number above 32 bits
	// that count down with the doors.
	rank  int64
	place int32 // in the heap
}

// oneMore is what an attempt adds to the rank.
const oneMore = 1 << 32

// count returns how many attempts there are.
func (c *crowd) count() int32 { return int32(c.rank >> 32) }

// crowds is the attempts by door, and the doors in a heap, the one with most
// attempts first.
type crowds struct {
	doors []crowd
	heap  []int32 // of doors
}

// newCrowds returns the empty crowds of n doors.
func newCrowds(n int) crowds {
	c := crowds{make([]crowd, n), make([]int32, n)}
	for i := range c.doors {
		c.doors[i] = crowd{list: emptyList, rank: int64(n - i), place: int32(i)}
		c.heap[i] = int32(i)
	}
	return c
}

// fullest returns the door whose oldest attempt makes room for one more at a
// door: the one with most attempts, or that door itself if none has more.
func (c *crowds) fullest(door int32) int32 {
	if most := c.heap[0]; c.doors[most].count() > c.doors[door].count() {
		return most
	}
	return door
}

// grow notes one more attempt at a door.
func (c *crowds) grow(door int32) {
	d := &c.doors[door]
	d.rank += oneMore
	for d.place > 0 {
		above := c.heap[(d.place-1)/2]
		if c.doors[above].rank > d.rank {
			return
		}
		c.swap(door, above)
	}
}

// shrink notes one attempt less.
func (c *crowds) shrink(door int32) {
	d := &c.doors[door]
	d.rank -= oneMore
	for {
		below := 2*d.place + 1
		if int(below) >= len(c.heap) {
			return
		}
		if next := below + 1; int(next) < len(c.heap) && c.doors[c.heap[next]].rank > c.doors[c.heap[below]].rank {
			below = next
		}
		more := c.heap[below]
		if c.doors[more].rank < d.rank {
			return
		}
		c.swap(door, more)
	}
}

// swap has two doors change places in the heap.
func (c *crowds) swap(a, b int32) {
	p, q := &c.doors[a].place, &c.doors[b].place
	*p, *q = *q, *p
	c.heap[*p], c.heap[*q] = a, b
}
