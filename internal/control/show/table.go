package show

import (
	"strings"
	"unicode/utf8"
)

// table writes rows, of which the first one is a heading, in columns. Paint colours
// the line of each of the others, from 0.
func (p *Page) table(rows [][]string, paint func(n int, line string) string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
		}
		if line = strings.TrimRight(line, " "); n == 0 {
			line = p.Style.Bold(line)
		} else {
			line = paint(n-1, line)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
