package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts compares sessions with what they were: a file is what a user
// types and sees, with "! " before what goes to standard error, and after it
// the files of the home directory. Nothing of it sends a packet.
func TestTranscripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) < 2 {
		t.Fatalf("%d transcripts", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range a.Files {
				files[f.Name] = string(f.Data)
			}
			dir, got := home(t, files), ""
			for line := range strings.Lines(string(a.Comment)) {
				if typed, ok := strings.CutPrefix(line, "$ "); ok {
					got += line + session(t, dir, strings.TrimSpace(typed))
				}
			}
			if *update {
				a.Comment = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(a.Comment) {
				t.Errorf("%s\nwant\n%s", got, a.Comment)
			}
		})
	}
}

var (
	wordPattern = regexp.MustCompile(`'[^']*'|\S+`)
	keyPattern  = regexp.MustCompile(`(_BASE64:? )([A-Za-z0-9+/]+)=*`)
)

// session is what a user sees of a command: knock is this program, all else is
// the shell's. Keys are different each time.
func session(t *testing.T, dir, typed string) string {
	t.Helper()
	words := wordPattern.FindAllString(typed, -1)
	for i, word := range words {
		words[i] = strings.Trim(word, "'")
		if below, ok := strings.CutPrefix(word, "~/"); ok {
			words[i] = filepath.Join(dir, below)
		}
	}
	var got result
	if words[0] == "knock" {
		got = tryHome(dir, words[1:]...)
	} else {
		cmd := exec.Command("sh", "-c", typed)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		got = result{stdout: string(out)}
		if err != nil {
			got.stderr = err.Error() + "\n"
		}
	}
	text := got.stdout
	for line := range strings.Lines(got.stderr) {
		text += "! " + line
	}
	if got.code != 0 {
		text += fmt.Sprintf("(exit status %d)\n", got.code)
	}
	return keyPattern.ReplaceAllStringFunc(strings.ReplaceAll(text, dir, "HOME"), func(key string) string {
		part := keyPattern.FindStringSubmatch(key)
		return fmt.Sprintf("%s<%d octets>", part[1], len(part[2])*3/4)
	})
}
