package config

import (
	"os"
	"path/filepath"
	"strings"
)

// StateDir returns the StateDir that a configuration or one of its drop-ins
// names, the last one if there are several, although the rest of it may be
// faulty; "" if none does. Whoever closes doors must not depend on a file
// without faults.
func StateDir(path string) string {
	dropIns, _ := filepath.Glob(path + ".d/*.conf")
	dir := ""
	for _, name := range append([]string{path}, dropIns...) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if found := stateDirIn(string(text)); found != "" {
			dir = found
		}
	}
	return dir
}

func stateDirIn(text string) (dir string) {
	options := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			options = strings.EqualFold(line, "[options]")
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if options && found && strings.EqualFold(strings.TrimSpace(key), "StateDir") {
			dir = strings.TrimSpace(value)
		}
	}
	return dir
}
