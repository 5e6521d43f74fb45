package knock

// terms remembers until when something holds for a key, in bounded memory:
// when there is no room, what was set first is forgotten.
type terms[K comparable] struct {
	limit int
	until map[K]int64 // nanoseconds since the tracker's epoch
	order fifo[term[K]]
}

type term[K comparable] struct {
	key   K
	until int64
}

func newTerms[K comparable](limit int) terms[K] {
	return terms[K]{limit: limit, until: map[K]int64{}}
}

// has reports whether a key's term is not over yet.
func (t *terms[K]) has(k K, now int64) bool {
	return len(t.until) > 0 && now < t.until[k]
}

// set gives a key a term in place of the one it had.
func (t *terms[K]) set(k K, until, now int64) {
	t.purge(now)
	for t.order.len() >= t.limit {
		t.forget()
	}
	t.until[k] = until
	t.order.push(term[K]{k, until})
}

// purge forgets terms that are over. Where keys have terms of different
// lengths some stay behind longer ones.
func (t *terms[K]) purge(now int64) {
	for t.order.len() > 0 && t.order.first().until <= now {
		t.forget()
	}
}

// forget lets go of what was set first, unless it has been set again since.
func (t *terms[K]) forget() {
	if first := t.order.pop(); t.until[first.key] == first.until {
		delete(t.until, first.key)
	}
}

// fifo is a queue that uses its memory again.
type fifo[T any] struct {
	items  []T
	head   int
	popped uint64 // ever
}

func (f *fifo[T]) len() int  { return len(f.items) - f.head }
func (f *fifo[T]) first() *T { return &f.items[f.head] }

func (f *fifo[T]) push(item T) {
	if len(f.items) == cap(f.items) && f.head > len(f.items)/2 {
		f.items = f.items[:copy(f.items, f.items[f.head:])]
		f.head = 0
	}
	f.items = append(f.items, item)
}

func (f *fifo[T]) pop() T {
	item := f.items[f.head]
	f.head++
	f.popped++
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return item
}
