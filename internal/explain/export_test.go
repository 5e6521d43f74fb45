package explain

// Held returns how many stories are under way, and how many packets they hold.
func (t *Teller) Held() (stories, packets int) { return len(t.stories), t.held }

// Remembered returns how many packets it remembers.
func (j *Join) Remembered() int { return len(j.decided) + len(j.oldest) + len(j.seen) + len(j.waiting) }
