package server

import "iter"

// Pages replies with a list in pages: as many as it takes to one who takes More,
// to others the first one, with the number of what is left out.
func Pages[T any](c *Call, pages iter.Seq[[]T], reply func(page []T, leftOut int) any) error {
	var (
		held    []T // until it is known whether another one follows
		leftOut int
		first   = true
	)
	for page := range pages {
		switch {
		case first:
			held, first = page, false
		case !c.More:
			leftOut += len(page)
		default:
			if err := c.Continue(reply(held, 0)); err != nil {
				return err
			}
			held = page
		}
	}
	return c.Reply(reply(held, leftOut))
}
