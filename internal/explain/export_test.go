package explain

// Held returns how many stories are under way, and how many packets they hold.
func (t *Teller) Held() (stories, packets int) { return len(t.stories), t.held }
