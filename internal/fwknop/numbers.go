package fwknop

import (
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// digits are the characters of a decimal number.
const digits = "0123456789"

// readNumber reads a number as fwknopd does, by strtol(3): blanks before it do
// not matter, no number is 0, and what stands behind it is left over.
func readNumber(text string) (n int64, rest string) {
	text = strings.TrimLeft(text, " \t\v\f\r")
	number, sign := text, int64(1)
	switch {
	case strings.HasPrefix(text, "-"):
		number, sign = text[1:], -1
	case strings.HasPrefix(text, "+"):
		number = text[1:]
	}
	rest = strings.TrimLeft(number, digits)
	if len(rest) == len(number) {
		return 0, text
	}
	n, err := strconv.ParseInt(number[:len(number)-len(rest)], 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return sign * n, rest
}

// behind notes that something stands behind a value.
func (i *Import) behind(at Place, what, value, rest string) {
	if rest = strings.TrimSpace(rest); rest != "" {
		i.note(Carried, at, "%s: %s, as fwknopd reads it; %q behind it does not count", what, value, rest)
	}
}

// goNumber is a number in Go that is none in C.
var goNumber = regexp.MustCompile(`(?i)^0[bo]|_`)

// readAddress reads an address as fwknopd does, by inet_aton(3): one to four
// numbers, also octal and hexadecimal, of which the last fills what is left, and
// behind a blank anything.
func readAddress(text string) (a netip.Addr, rest string, ok bool) {
	word := text
	if i := strings.IndexAny(text, " \t\v\f\r"); i >= 0 {
		word, rest = text[:i], text[i:]
	}
	parts := strings.Split(word, ".")
	if len(parts) > 4 {
		return a, rest, false
	}
	var octets [4]byte
	for i, part := range parts {
		room := 8
		if i == len(parts)-1 {
			room = 8 * (4 - i)
		}
		if goNumber.MatchString(part) {
			return a, rest, false
		}
		n, err := strconv.ParseUint(part, 0, room)
		if err != nil {
			return a, rest, false
		}
		if i < len(parts)-1 {
			octets[i] = byte(n)
			continue
		}
		var last [4]byte
		binary.BigEndian.PutUint32(last[:], uint32(n))
		copy(octets[i:], last[i:])
	}
	return netip.AddrFrom4(octets), rest, true
}

// longestMask is how long the text of a mask may be, as 255.255.255.255 is.
const longestMask = 15

// readBits reads the mask behind a slash: a number of one or two characters, or
// an address, whose ones must come first to be that of a network.
func readBits(text string) (bits int, rest string, ok bool) {
	if !strings.Contains(text, ".") {
		n, rest := readNumber(text)
		return int(n), rest, len(text) <= 2 && n >= 1 && n <= 32
	}
	mask, rest, ok := readAddress(text)
	if !ok || len(text) > longestMask {
		return 0, rest, false
	}
	bits, _ = net.IPMask(mask.AsSlice()).Size() // 0 if a zero stands before a one
	return bits, rest, bits > 0
}

var usDate = regexp.MustCompile(`^\s*([0-9]{1,2})/\s*([0-9]{1,2})/\s*([0-9]{1,4})(.*)$`)

// readDate reads MM/DD/YYYY as fwknopd does: a year of two digits is of this
// century, one of three counts from 1900, and a day that the month has not is one
// of the next.
func readDate(text string) (day time.Time, rest string, ok bool) {
	m := usDate.FindStringSubmatch(text)
	if m == nil {
		return day, "", false
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	switch {
	case n[2] < 100:
		n[2] += 2000
	case n[2] < 1900:
		n[2] += 1900
	}
	return time.Date(n[2], time.Month(n[0]), n[1], 0, 0, 0, 0, time.UTC), m[4], true
}

// isNone reports whether a command stands for none: fwknopd looks at the first four
// characters, people write other things that it runs in vain.
func isNone(command string) (none, ran bool) {
	if strings.HasPrefix(command, "NONE") {
		return true, false
	}
	return strings.EqualFold(strings.Trim(command, "_"), "none"), true
}
