package nettest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Session is what a user sees of a command.
type Session struct {
	Stdout, Stderr string
	Code           int // the exit status
}

// Transcripts are sessions that are compared with what they were. A file is what
// a user types behind "$ " and sees, with "! " before what goes to standard
// error, and after it the files of the directory that HOME stands for, which
// nobody else can read.
type Transcripts struct {
	Program string
	// Run calls the program; its name is the first word, but for settings of the
	// environment, as NAME=VALUE, before it. Of all other commands the shell does.
	Run func(t *testing.T, dir string, words []string) Session
	// Mask takes out of a text what is different each time; nil: nothing is.
	Mask func(text string) string
}

// Compare looks at all files of a pattern.
func (x Transcripts) Compare(t *testing.T, pattern string) {
	files, _ := filepath.Glob(pattern)
	if len(files) == 0 {
		t.Fatalf("%s: no transcripts", pattern)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, got := t.TempDir(), ""
			unpack(t, dir, a.Files)
			for line := range strings.Lines(string(a.Comment)) {
				if typed, ok := strings.CutPrefix(line, "$ "); ok {
					got += line + x.session(t, dir, typed)
				}
			}
			a.Comment = []byte(got)
			Golden(t, file, string(txtar.Format(a)))
		})
	}
}

func (x Transcripts) session(t *testing.T, dir, typed string) string {
	t.Helper()
	var s Session
	if words := wordsOf(dir, typed); x.calls(words) {
		s = x.Run(t, dir, words)
	} else {
		s = shell(dir, typed)
	}
	text := strings.ReplaceAll(s.text(), dir, "HOME")
	if x.Mask != nil {
		text = x.Mask(text)
	}
	return text
}

// calls reports whether words call the program.
func (x Transcripts) calls(words []string) bool {
	i := slices.IndexFunc(words, func(word string) bool { return !settingPattern.MatchString(word) })
	return i >= 0 && words[i] == x.Program
}

var settingPattern = regexp.MustCompile(`^[A-Z_]+=`)

func unpack(t *testing.T, dir string, files []txtar.File) {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var wordPattern = regexp.MustCompile(`'[^']*'|\S+`)

// wordsOf returns the words of a line, as far as the shell's rules are needed.
func wordsOf(dir, typed string) []string {
	words := wordPattern.FindAllString(strings.TrimSpace(typed), -1)
	for i, word := range words {
		words[i] = strings.Trim(word, "'")
		if below, ok := strings.CutPrefix(word, "~/"); ok {
			words[i] = filepath.Join(dir, below)
		}
	}
	return words
}

func shell(dir, typed string) Session {
	cmd := exec.Command("sh", "-c", typed)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	s := Session{Stdout: string(out)}
	if err != nil {
		s.Stderr = err.Error() + "\n"
	}
	return s
}

func (s Session) text() string {
	text := s.Stdout
	for line := range strings.Lines(s.Stderr) {
		text += "! " + line
	}
	if s.Code != 0 {
		text += fmt.Sprintf("(exit status %d)\n", s.Code)
	}
	return text
}
