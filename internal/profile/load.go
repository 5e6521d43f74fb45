package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"knockd/internal/statefile"
)

// Path returns where the configuration is: knock/config below
// $XDG_CONFIG_HOME, else below ~/.config, on Windows below %AppData%. Empty:
// the environment names no home.
func Path(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	// The specification has relative paths ignored (XDG Base Directory).
	if !filepath.IsAbs(dir) {
		dir = ""
	}
	if dir == "" && runtime.GOOS == "windows" {
		dir = getenv("AppData")
	}
	if home := getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "knock", "config")
}

// What is read of a configuration file, in octets, and how long it may take: a
// pipe may come from a program that asks for a passphrase.
const (
	maxFile  = 16 << 20
	patience = 5 * time.Minute
)

// Load reads a configuration file. One that does not exist has no profiles.
// Paths in it that begin with ~/ are below home, other relative ones in the
// file's directory.
func Load(name, home string) (*Config, error) {
	src, _, err := statefile.Source{Max: maxFile, Own: true, Limit: patience}.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Config{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(name, src)
	if err != nil {
		return nil, err
	}
	c.place(filepath.Dir(name), home)
	return c, nil
}

// place makes the paths in the settings complete.
func (c *Config) place(dir, home string) {
	for _, s := range c.sections {
		for i, set := range s.settings {
			if strings.HasSuffix(set.key, "_file") {
				s.settings[i].value = Complete(set.value, dir, home)
			}
		}
	}
}

// Complete makes a path complete: what begins with ~/ is below home, other
// relative paths are below dir.
func Complete(name, dir, home string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// Exposed reports whether others than the owner can read or write a file, which
// holds a secret. Windows keeps that elsewhere than in the mode.
func Exposed(name string) bool {
	info, err := os.Stat(name)
	return err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0
}
