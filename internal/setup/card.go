package setup

import (
	"encoding/xml"
	"fmt"
	"strings"

	"rsc.io/qr"

	"knockd/internal/config"
	"knockd/internal/knock"
)

// card is what stands on a rescue card: sections of lines to type or read.
type card struct {
	title, secret string
	facts         []string
	sections      []cardSection
}

type cardSection struct {
	title string
	lines []string
}

// card says all that it takes to get in when nothing else is at hand.
func (p *Plan) card() card {
	server, _ := p.server()
	c := card{
		title:  "Rescue card of " + p.host.Name,
		secret: "Secret: whoever reads this can knock. Keep it where you keep keys.",
		facts: []string{
			fmt.Sprintf("Door [%s] of %s opens %s for %.0f seconds", p.Name, p.Path, p.opens(), openTime.Seconds()),
			fmt.Sprintf("to four TCP packets within %.0f seconds, in this order, with no other port between:", knock.DefaultTimeout.Seconds()),
		},
	}
	through := []string{}
	if p.isSSH() {
		through = []string{p.ssh()}
	}
	open := []string{"systemctl stop knockd", "knockd --cleanup    # opens what the guard has closed", "systemctl disable knockd knockd-guard    # or it closes again at the next boot"}
	if p.Mode == config.NftMark {
		open = []string{"the port is closed by the host's own firewall; to let everybody in:"}
		for i, r := range p.host.Reach {
			for _, line := range portRule(p.host.dropper(r), r, knock.PortRange{Proto: knock.TCP, First: p.Port, Last: p.Port}, i) {
				if line != open[len(open)-1] {
					open = append(open, line)
				}
			}
		}
	}
	c.sections = []cardSection{
		{"With knock", append([]string{p.Knock()}, through...)},
		{"Without it", append([]string{fmt.Sprintf("for p in %s; do nc -z -w 1 %s $p; done", strings.Join(p.ports(), " "), server)}, through...)},
		{"If that does not help: at the console, as root", open},
	}
	return c
}

// CardText returns the rescue card as plain text.
func (p *Plan) CardText() string {
	c := p.card()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n%s\n\n    %s\n", strings.ToUpper(c.title), c.secret, strings.Join(c.facts, "\n"), strings.Join(p.ports(), "   "))
	for _, s := range c.sections {
		fmt.Fprintf(&b, "\n%s:\n\n    %s\n", s.title, strings.Join(s.lines, "\n    "))
	}
	return b.String()
}

// The card's measures, in units of its drawing: a character of 12 is no wider
// than this in the usual fonts.
const (
	charWidth = 7.3
	margin    = 28
	qrSide    = 132
)

// CardSVG returns the rescue card as a drawing: as light or dark as its reader
// has asked for, and black on white on paper. The code at its corner is the
// knock command.
func (p *Plan) CardSVG() (string, error) {
	c := p.card()
	code, err := qr.Encode(p.Knock(), qr.M)
	if err != nil {
		return "", fmt.Errorf("draw the code of the rescue card: %w", err)
	}
	var body strings.Builder
	y, width, beside := 46, 2*margin+560, 0
	line := func(class, text string, x, height int) {
		fmt.Fprintf(&body, "  <text class=\"%s\" x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", class, x, y, escape(text))
		end := x + margin + int(float64(len([]rune(text)))*charWidth)
		if width = max(width, end); y < margin+qrSide+height {
			beside = max(beside, end)
		}
		y += height
	}
	line("title", c.title, margin, 24)
	line("secret", c.secret, margin, 30)
	for _, fact := range c.facts {
		line("fact", fact, margin, 19)
	}
	y += 22
	x := margin
	for i, port := range p.ports() {
		fmt.Fprintf(&body, "  <text class=\"step\" x=\"%d\" y=\"%d\">%d</text>\n  <text class=\"port\" x=\"%d\" y=\"%d\">%s</text>\n", x, y-3, i+1, x+16, y, port)
		x += 116
	}
	y += 38
	for _, s := range c.sections {
		line("head", s.title, margin, 20)
		for _, text := range s.lines {
			line("code", text, margin+12, 18)
		}
		y += 14
	}
	width = max(width, beside+qrSide+margin)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" font-family="Helvetica, Arial, sans-serif" font-size="13" role="img" aria-labelledby="title">
  <title id="title">%[3]s</title>
%[4]s  <rect class="card" x="0.5" y="0.5" width="%[5]d" height="%[6]d" rx="8"/>
%[7]s%[8]s</svg>
`, width, y, escape(c.title), cardStyle, width-1, y-1, &body, drawQR(code, width-margin-qrSide, margin))
	return b.String(), nil
}

const cardStyle = `  <style>
    .card { fill: #ffffff; stroke: #d0d7de }
    text { fill: #1f2328 }
    .title { font-size: 20px; font-weight: bold }
    .secret { fill: #b3261e; font-weight: bold }
    .fact, .step { fill: #59636e }
    .head { font-weight: bold }
    .port { font: bold 26px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
    .code { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
    .paper { fill: #ffffff }
    .ink { fill: #000000 }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #3d444d }
      text { fill: #f0f6fc }
      .secret { fill: #f85149 }
      .fact, .step { fill: #9198a1 }
    }
    @media print {
      .card { fill: #ffffff; stroke: #000000 }
      text, .secret, .fact, .step { fill: #000000 }
    }
  </style>
`

// drawQR draws a code with its light border, whatever is around it: dark on
// light is what every camera reads.
func drawQR(code *qr.Code, x, y int) string {
	const quiet = 4 // modules (ISO/IEC 18004)
	var path strings.Builder
	for row := range code.Size {
		for col := range code.Size {
			if code.Black(col, row) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", col+quiet, row+quiet)
			}
		}
	}
	side := code.Size + 2*quiet
	return fmt.Sprintf("  <svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">\n"+
		"    <rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n    <path class=\"ink\" d=\"%s\"/>\n  </svg>\n",
		x, y, qrSide, qrSide, side, side, side, side, &path)
}

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return b.String()
}
