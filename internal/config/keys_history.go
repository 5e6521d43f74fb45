package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Defaults of what is remembered of who was let in.
const (
	DefaultHistorySize Size = 4 << 20
	DefaultHistoryDays      = 90
)

// The least and the most that make sense: room for some hundred visits, and a
// file that is read in a second or two.
const (
	minHistory     Size = 64 << 10
	maxHistory     Size = 64 << 20
	maxHistoryDays      = 3650
)

// historyOptions say what is remembered of who was let in.
var historyOptions = []key[*Config]{
	parsed(func(c *Config) *string { return &c.HistoryFile }, parsePath, "historyfile").
		is(facts{spelled: "HistoryFile", doc: "the file that remembers who was let in"}),
	parsed(func(c *Config) *Size { return &c.HistorySize }, parseHistorySize, "historysize").
		is(facts{spelled: "HistorySize", follow: comment, doc: "how much is remembered of who was let in"}),
	parsed(func(c *Config) *int { return &c.HistoryDays }, between(1, maxHistoryDays), "historydays").
		is(facts{spelled: "HistoryDays", follow: comment, doc: "for how many days it is remembered who was let in"}),
}

// Size is a number of octets.
type Size int

// String writes the size as the file does: "4 MB".
func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<20) == 0:
		return fmt.Sprintf("%d MB", s>>20)
	case s != 0 && s%(1<<10) == 0:
		return fmt.Sprintf("%d KB", s>>10)
	}
	return strconv.Itoa(int(s))
}

var sizePattern = regexp.MustCompile(`(?i)^([0-9]{1,9})[ \t]*(?:([km])(?:i?b)?)?$`)

// parseSize reads a number of octets, or of units of 1,024 (K, KB, KiB) or
// 1,048,576 (M, MB, MiB) octets.
func parseSize(text string) (Size, error) {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q: must be a size such as 4 MB or 512 KB", text)
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	n <<= map[string]int{"k": 10, "m": 20}[strings.ToLower(m[2])]
	return Size(min(n, 1<<31-1)), nil
}

func parseHistorySize(text string) (Size, error) {
	size, err := parseSize(text)
	if err == nil && (size < minHistory || size > maxHistory) {
		err = fmt.Errorf("%q: must be between %v and %v", text, minHistory, maxHistory)
	}
	return size, err
}
