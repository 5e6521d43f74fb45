package config

import (
	"fmt"
	"strings"
)

// maxProposals bounds how many unknown keys get a proposal: a file of others'
// making may have a million.
const maxProposals = 1000

// unknown returns the fault of a key that there is not, with the one that is
// most like it. Inside says whether it stands in [options].
func (p *parser) unknown(name string, inside bool) error {
	if p.proposals++; p.proposals > maxProposals {
		return fmt.Errorf("unknown key")
	}
	proposal, distance, ofOptions := nearest(name, inside)
	where := ""
	if ofOptions != inside {
		where = map[bool]string{true: ", in [options]", false: ", in a door's section"}[ofOptions]
	}
	if distance <= len(name)/3 {
		return fmt.Errorf("unknown key: did you mean %s%s?", proposal, where)
	}
	return fmt.Errorf("unknown key: the nearest known one is %q%s", proposal, where)
}

// nearest returns the key whose name is most like the given one; of two, the
// one that belongs where it stands.
func nearest(name string, inside bool) (proposal string, distance int, ofOptions bool) {
	name = strings.ToLower(name[:min(len(name), 40)])
	distance = 1000
	look := func(k string, options bool) {
		n := 3*edits(bare(name), bare(k)) + min(edits(name, k), 1)
		if options != inside {
			n++
		}
		if n < distance || n == distance && k < proposal {
			proposal, distance, ofOptions = k, n, options
		}
	}
	for k := range optionKeys {
		look(k, true)
	}
	for k := range doorKeys {
		look(k, false)
	}
	return proposal, distance / 3, ofOptions
}

// bare returns a name without what is easily got wrong.
func bare(name string) string { return strings.NewReplacer("_", "", "-", "").Replace(name) }

// edits returns how many octets must be changed, put in or taken out to make one
// text of the other (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
