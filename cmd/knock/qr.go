package main

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the light border of a QR code, in modules (ISO/IEC 18004).
const quietZone = 4

// qrText draws a QR code for a terminal: two modules above each other are one
// character. The colours are set, so that it reads the same on a dark terminal.
func qrText(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		b.WriteString("\x1b[30;107m") // black on bright white
		for x := -quietZone; x < code.Size+quietZone; x++ {
			b.WriteString(halves(code.Black(x, y), code.Black(x, y+1)))
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}

// halves returns the character whose halves are dark as asked for.
func halves(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
