package explain

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
)

// Picture draws stories: a lane for each source and door. Each lane begins with its
// first packet; all have one scale.
type Picture struct {
	Door string // of which door; "": of all
	Zone *time.Location

	lanes   []lane
	leftOut int
}

// maxLanes is how many lanes are drawn.
const maxLanes = 100

// lane is a visit in the picture.
type lane struct {
	source, verdict string
	visit           Visit
	begin           time.Time
}

// Add adds a story.
func (p *Picture) Add(s *Story) {
	for _, d := range s.Doors {
		if p.Door != "" && d.Door.String() != p.Door || d.Steps == 0 || len(d.Marks) == 0 {
			continue
		}
		if len(p.lanes) == maxLanes {
			p.leftOut++
			continue
		}
		begin := d.Marks[0].At
		if !d.Began.IsZero() && d.Began.Before(begin) {
			begin = d.Began
		}
		p.lanes = append(p.lanes, lane{s.Source.String(), s.Verdict, d, begin})
	}
}

// Measures of the picture, in pixels.
const (
	labelWidth = 210
	plotWidth  = 720
	laneHeight = 82
	topHeight  = 46
	footHeight = 40
	laneMiddle = 40
)

// style has the colours: those of a page, light or dark as the reader has it.
const style = `
svg { --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --window: #ddf4ff; --edge: #0969da; --step: #0969da; --on: #ffffff; --end: #cf222e; --odd: #9a6700; --open: #1a7f37; }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --window: #12283f; --edge: #4493f8; --step: #1f6feb; --on: #ffffff; --end: #f85149; --odd: #d29922; --open: #3fb950; } }
text { font: 13px system-ui, sans-serif; fill: var(--ink); }
.paper { fill: var(--paper); } .quiet { font-size: 11px; fill: var(--quiet); } .name { font-weight: 600; }
.rule { stroke: var(--line); } .window { fill: var(--window); stroke: var(--edge); stroke-dasharray: 3 3; }
.step { fill: var(--step); } .number { font-size: 11px; font-weight: 600; fill: var(--on); text-anchor: middle; }
.end { stroke: var(--end); stroke-width: 3; } .odd { fill: none; stroke: var(--odd); stroke-width: 2; } .oddnumber { font-size: 11px; fill: var(--odd); text-anchor: middle; }
.open { fill: var(--open); } .opentext { font-size: 11px; font-weight: 600; fill: var(--paper); } .tick { font-size: 11px; fill: var(--quiet); text-anchor: middle; }
`

// SVG returns the picture.
func (p *Picture) SVG() []byte {
	var b strings.Builder
	height := topHeight + laneHeight*max(len(p.lanes), 1) + footHeight
	width := labelWidth + plotWidth + 30
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, width, height, width, height)
	fmt.Fprintf(&b, "\n<title>knocks at doors, a lane for each source and door</title>\n<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d"/>`+"\n", width, height)
	slices.SortStableFunc(p.lanes, func(a, b lane) int { return a.begin.Compare(b.begin) })
	scale := p.scale()
	p.axis(&b, scale)
	for i := range p.lanes {
		p.lanes[i].draw(&b, topHeight+i*laneHeight, scale, p.Zone)
	}
	p.legend(&b, height-16)
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// legend says what the signs mean, and what is not drawn.
func (p *Picture) legend(b *strings.Builder, y int) {
	foot := ""
	switch {
	case len(p.lanes) == 0:
		foot = "no knock was told of"
	case p.leftOut > 0:
		foot = fmt.Sprintf("%d more lanes are not drawn", p.leftOut)
	}
	fmt.Fprintf(b, `<text class="quiet" x="14" y="%d">%s</text>`, y, foot)
	x := labelWidth
	for _, sign := range []struct {
		shape, text string
		width       int
	}{
		{`<circle class="step" cx="%d" cy="%d" r="6"/>`, "step", 60},
		{`<circle class="odd" cx="%d" cy="%d" r="6"/>`, "without effect", 110},
		{`<path class="end" d="M%d %dm-5 -5l10 10m0 -10l-10 10"/>`, "ended the attempt, or came too late", 250},
		{`<path class="window" d="M%d %dm-8 -6h16v12h-16z"/>`, "seq_timeout", 110},
		{`<path class="open" d="M%d %dm-8 -5h16v10h-16z"/>`, "open", 60},
	} {
		fmt.Fprintf(b, sign.shape+`<text class="quiet" x="%d" y="%d">%s</text>`, x+8, y-4, x+20, y, sign.text)
		x += sign.width
	}
	b.WriteByte('\n')
}

// scale is how long the plot is: all that happened at any door, and room for an
// opening.
func (p *Picture) scale() time.Duration {
	longest := time.Second
	for i := range p.lanes {
		l := &p.lanes[i]
		end := l.visit.Marks[len(l.visit.Marks)-1].At.Sub(l.begin)
		if !l.visit.Began.IsZero() && l.visit.Timeout < 100*365*24*time.Hour {
			end = max(end, l.visit.deadline().Sub(l.begin))
		}
		longest = max(longest, end)
	}
	return longest + longest/5
}

// at is where a time is on the plot.
func at(since, scale time.Duration) float64 {
	x := labelWidth + float64(since)/float64(scale)*plotWidth
	return math.Round(min(max(x, labelWidth), labelWidth+plotWidth)*10) / 10
}

// axis draws seconds from the first packet on.
func (p *Picture) axis(b *strings.Builder, scale time.Duration) {
	step := time.Second
	for _, s := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute,
		30 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if step = s; scale/s <= 12 {
			break
		}
	}
	for scale/step > 12 {
		step *= 2
	}
	bottom := topHeight + laneHeight*max(len(p.lanes), 1)
	for t := time.Duration(0); t <= scale; t += step {
		x := at(t, scale)
		fmt.Fprintf(b, `<line class="rule" x1="%g" y1="%d" x2="%g" y2="%d"/><text class="tick" x="%g" y="%d">%s</text>`+"\n",
			x, topHeight, x, bottom, x, topHeight-8, tickText(t))
	}
	fmt.Fprintf(b, `<text class="quiet" x="14" y="%d">after its first packet</text>`+"\n", topHeight-8)
}

func tickText(t time.Duration) string {
	if t == 0 {
		return "0"
	}
	return Span(t)
}

func (l *lane) draw(b *strings.Builder, top int, scale time.Duration, zone *time.Location) {
	d := &l.visit
	middle := top + laneMiddle
	fmt.Fprintf(b, `<g><title>%s</title><line class="rule" x1="0" y1="%d" x2="%d" y2="%d"/>`, html.EscapeString(l.verdict), top, labelWidth+plotWidth+30, top)
	fmt.Fprintf(b, `<text class="quiet" x="%d" y="%d">%s</text>`, labelWidth, top+74, html.EscapeString(clip(l.verdict, 125)))
	fmt.Fprintf(b, `<text class="name" x="14" y="%d">%s</text><text x="14" y="%d">at %s</text><text class="quiet" x="14" y="%d">%s</text>`+"\n",
		top+22, html.EscapeString(clip(l.source, 26)), top+40, html.EscapeString(clip(d.Door.String(), 24)), top+58,
		l.begin.In(zone).Format("2006-01-02 15:04:05.000"))
	if !d.Began.IsZero() && d.Steps > 1 {
		from, to := at(d.Began.Sub(l.begin), scale), at(d.deadline().Sub(l.begin), scale)
		fmt.Fprintf(b, `<rect class="window" x="%g" y="%d" width="%g" height="34"><title>seq_timeout: %s</title></rect>`,
			from, middle-17, to-from, Span(d.Timeout))
	}
	fmt.Fprintf(b, `<line class="rule" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", labelWidth, middle, labelWidth+plotWidth, middle)
	if !d.Opened.IsZero() && d.refused == "" {
		l.drawOpening(b, middle, scale)
	}
	for i := range d.Marks {
		l.drawMark(b, middle, &d.Marks[i], scale)
	}
	b.WriteString("</g>\n")
}

// drawOpening draws the time for which the door was open, as far as there is room.
func (l *lane) drawOpening(b *strings.Builder, middle int, scale time.Duration) {
	since := l.visit.Opened.Sub(l.begin)
	from, to, text := at(since, scale), float64(labelWidth+plotWidth), "open"
	if l.visit.Open > 0 {
		to, text = at(since+l.visit.Open, scale), "open "+Span(l.visit.Open)
	}
	to = max(to, from+4)
	fmt.Fprintf(b, `<rect class="open" x="%g" y="%d" width="%g" height="14"><title>%s</title></rect>`, from, middle+6, to-from, text)
	if to-from > 70 {
		fmt.Fprintf(b, `<text class="opentext" x="%g" y="%d">%s</text>`, from+14, middle+17, text)
	}
	b.WriteByte('\n')
}

func (l *lane) drawMark(b *strings.Builder, middle int, m *Mark, scale time.Duration) {
	x := at(m.At.Sub(l.begin), scale)
	number := ""
	if m.Step > 0 {
		number = fmt.Sprint(m.Step)
	}
	fmt.Fprintf(b, `<g><title>+%.3f s: %s</title>`, max(m.At.Sub(l.begin), 0).Seconds(), html.EscapeString(m.Text))
	switch m.Kind {
	case MarkStep:
		fmt.Fprintf(b, `<circle class="step" cx="%g" cy="%d" r="9"/><text class="number" x="%g" y="%d">%s</text>`, x, middle, x, middle+4, number)
	case MarkEnd:
		fmt.Fprintf(b, `<path class="end" d="M%g %dl12 12m0 -12l-12 12"/><text class="oddnumber" x="%g" y="%d">%s</text>`, x-6, middle-6, x, middle-20, number)
	default:
		fmt.Fprintf(b, `<circle class="odd" cx="%g" cy="%d" r="8"/><text class="oddnumber" x="%g" y="%d">%s</text>`, x, middle, x, middle+4, number)
	}
	b.WriteString("</g>\n")
}

// clip shortens a text to so many characters.
func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
