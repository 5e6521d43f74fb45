package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"knockd/internal/statefile"
)

// programs finds what commands run, as a daemon of systemd would.
type programs struct {
	path, other []string        // where it looks, and where a shell of whoever asks does beside
	told        map[string]bool // what was said already, of the same programs at other doors
}

// systemPath is where systemd has services look for programs (systemd.exec(5)),
// and where systems have them that keep /bin beside /usr/bin.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func newPrograms() *programs {
	p := &programs{path: filepath.SplitList(systemPath), told: map[string]bool{}}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) && !slices.Contains(p.path, dir) {
			p.other = append(p.other, dir)
		}
	}
	return p
}

// builtins are what /bin/sh does itself (POSIX.1-2024, XCU 1.6 and 2.15), and what
// dash and bash do beside.
const builtins = " . : [ alias bg break cd command continue echo eval exec exit export false fc fg getopts hash jobs kill local printf pwd read readonly " +
	"return set shift source test times trap true type ulimit umask unalias unset wait [[ builtin declare let typeset "

// interpreters run the file that their first word names which is no option.
var interpreters = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python3", "perl", "ruby", "php", "node", "lua", ".", "source"}

// look says what is wrong with what a command runs, a sentence each.
func (p *programs) look(s *script) (wrong []string) {
	for _, c := range s.calls {
		words := c.words
		for {
			if len(words) == 0 {
				break
			}
			if err := p.program(s, words[0]); err != nil {
				wrong = append(wrong, err.Error())
			}
			inner := afterWrappers(words)
			if len(inner) == len(words) || len(inner) == 0 {
				break
			}
			words = inner
		}
		if file, ok := scriptOf(words); ok {
			if err := p.file(file, false); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
	}
	return slices.DeleteFunc(wrong, func(text string) bool {
		told := p.told[text]
		p.told[text] = true
		return told
	})
}

// scriptOf returns the file that an interpreter runs.
func scriptOf(words []word) (file string, ok bool) {
	if len(words) < 2 || !slices.Contains(interpreters, filepath.Base(words[0].text)) {
		return "", false
	}
	for _, w := range words[1:] {
		switch {
		case !w.fixed || strings.HasPrefix(w.text, "-c"): // the script itself
			return "", false
		case strings.HasPrefix(w.text, "-"):
		default:
			return w.text, filepath.IsAbs(w.text)
		}
	}
	return "", false
}

// program looks at a program as a command names it.
func (p *programs) program(s *script, w word) error {
	name := w.text
	switch {
	case !w.fixed || name == "" || s.functions[name] || strings.Contains(builtins, " "+name+" ") || strings.Contains(name, "%"):
		return nil
	case filepath.IsAbs(name):
		return p.file(name, true)
	case strings.Contains(name, "/"):
		return fmt.Errorf("%s: which directory that is in depends on where knockd is started: write the whole path", name)
	}
	if path := find(name, p.path); path != "" {
		return p.file(path, true)
	}
	if path := find(name, p.other); path != "" {
		return fmt.Errorf("%s: a service does not find it: write %s", name, path)
	}
	return fmt.Errorf("%s: there is no such program in %s", name, systemPath)
}

// find looks for a program in directories; "" if there is none.
func find(name string, dirs []string) string {
	for _, dir := range dirs {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// file looks at a file that root will run, and at whether others could have put
// it there. What may not be looked at is right.
func (p *programs) file(path string, program bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", path)
	case err != nil:
		return nil
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: is no program", path)
	case program && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s: is not executable", path)
	}
	if who := writers(info); who != "" {
		return fmt.Errorf("%s: %s: whoever does is root at the next knock", path, who)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	for _, path := range []string{path, real} {
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err == nil && info.Mode()&fs.ModeSticky == 0 {
				if who := writers(info); who != "" {
					return fmt.Errorf("%s: in %s %s: whoever does is root at the next knock", path, dir, who)
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}

// writers says who besides root can write a file or directory; "" is nobody.
func writers(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 {
		return fmt.Sprintf("user %d can write, who owns it", s.Uid)
	}
	if statefile.WritableByAll(info) || statefile.WritableByGroup(info) {
		return fmt.Sprintf("others can write (mode %04o)", info.Mode().Perm())
	}
	return ""
}
