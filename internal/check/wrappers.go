package check

import (
	"path"
	"slices"
	"strings"
)

// wrappers are programs that run the one that their words name, by how many
// words of their own stand before it beside options and assignments.
var wrappers = map[string]int{
	"exec": 0, "command": 0, "env": 0, "nohup": 0, "setsid": 0, "sudo": 0, "doas": 0, "nice": 0, "ionice": 0, "stdbuf": 0, "systemd-cat": 0, "time": 0,
	"timeout": 1, "flock": 1, "chroot": 1,
}

// withValue are options of wrappers that take the next word, which is no program.
var withValue = map[string][]string{
	"sudo": {"-u", "-g", "-h", "-p", "-C"}, "doas": {"-u", "-C"}, "nice": {"-n"}, "ionice": {"-c", "-n"}, "timeout": {"-s", "-k"},
	"flock": {"-w", "-E"}, "env": {"-u", "-C"}, "stdbuf": {"-i", "-o", "-e"}, "systemd-cat": {"-t", "-p"},
}

// afterWrappers returns the words from the program on that is run in the end.
func afterWrappers(words []word) []word {
	for len(words) > 0 {
		name := path.Base(words[0].text)
		own, ok := wrappers[name]
		if !ok {
			return words
		}
		words = afterOwn(name, own, words[1:])
	}
	return nil
}

// afterOwn skips the words of a wrapper itself.
func afterOwn(name string, own int, words []word) []word {
	for i := 0; i < len(words); i++ {
		switch w := words[i].text; {
		case slices.Contains(withValue[name], w):
			i++
		case strings.HasPrefix(w, "-") || strings.Contains(w, "="):
		case own > 0:
			own--
		default:
			return words[i:]
		}
	}
	return nil
}
