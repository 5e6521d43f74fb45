package fwknop

import (
	"slices"
	"strings"
)

// cycleVars are the variables of fwknopd's command cycle, in the order in which
// the longer of two that begin alike comes first, and what they become.
var cycleVars = []struct{ name, becomes, note string }{
	{"PKT_SRC", "%SRC%", ""},
	{"SRC", "%IP%", ""},
	{"IP", "%IP%", ""},
	{"DST", "%DST%", ""},
	{"PORT", "%PORT%", ""},
	{"PROTO", "%PROTO%", "$PROTO was a number (6, 17) and is a word now (tcp, udp)"},
	{"CLIENT_TIMEOUT", "", "$CLIENT_TIMEOUT was what the client asked for; now it is the fixed number of seconds of cmd_timeout"},
	{"TIMEOUT", "", "$TIMEOUT, a time of day, has no counterpart; the command has 0 in its place"},
}

// shellSafe are the characters that mean nothing to /bin/sh within a word.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_^"

// shellCommand turns a command of the command cycle, which fwknopd runs without
// a shell, into one for /bin/sh that gets the same words. seconds stands for
// $CLIENT_TIMEOUT.
func shellCommand(command, seconds string) (string, []string) {
	var words, notes []string
	for _, w := range strings.Fields(command) {
		word, more := fillIn(w, seconds)
		words = append(words, quote(word))
		for _, n := range more {
			if !slices.Contains(notes, n) {
				notes = append(notes, n)
			}
		}
	}
	return strings.Join(words, " "), notes
}

// fillIn replaces variables; a $ before anything else is dropped, as fwknopd
// drops it.
func fillIn(word, seconds string) (string, []string) {
	var out strings.Builder
	var notes []string
	for {
		before, rest, found := strings.Cut(word, "$")
		out.WriteString(before)
		if !found {
			return out.String(), notes
		}
		word = rest
		for _, v := range cycleVars {
			if tail, ok := strings.CutPrefix(rest, v.name); ok {
				out.WriteString(map[string]string{"CLIENT_TIMEOUT": seconds, "TIMEOUT": "0"}[v.name] + v.becomes)
				if v.note != "" {
					notes = append(notes, v.note)
				}
				word = tail
				break
			}
		}
	}
}

// quote protects a word from the shell, but not %IP% and its like.
func quote(word string) string {
	if word != "" && strings.Trim(word, shellSafe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
