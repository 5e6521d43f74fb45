package nettest

import (
	"context"
	_ "embed"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed complete.zsh
var completeZsh string

// completers run a shell that prints what it offers for a line: their arguments
// are the directory of our completions, the command, and the line.
var completers = map[string][]string{
	"bash": {"bash", "--norc", "-c", `source "$1/$2.bash"
		read -ra COMP_WORDS <<<"$3"; [[ $3 == *" " ]] && COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "_$2"; printf '%s\n' "${COMPREPLY[@]}"`, "bash"},
	"fish": {"fish", "--no-config", "-c", `source $argv[1]/$argv[2].fish; complete -C$argv[3]`},
	"zsh":  {"zsh", "-f", "-c", completeZsh, "zsh"},
}

// Shells are those for which there are completions.
var Shells = []string{"bash", "fish", "zsh"}

// Completer returns a shell that prints what it offers for a line that begins
// with the name of a command, by the completions in a directory. zsh shows the
// line, too.
func Completer(t testing.TB, shell, dir, line string) *exec.Cmd {
	t.Helper()
	NeedProgram(t, shell)
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	argv := completers[shell]
	command, _, _ := strings.Cut(line, " ")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], dir, command, line)...)
}

// MustComplete fails the test unless each shell offers these options of a command
// and no others, by the completions in configs.
func MustComplete(t *testing.T, command string, want []string) {
	slices.Sort(want)
	for _, shell := range Shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if got := CompletedOptions(t, shell, "../../configs", command+" -"); !slices.Equal(got, want) {
				t.Errorf("configs offer %q\nwant %q", got, want)
			}
		})
	}
}

var optionPattern = regexp.MustCompile(`^(--[a-z][a-z0-9-]*|-[a-zA-Z0-9])$`)

// CompletedOptions returns the options that a shell offers for a line that ends
// in a dash, in order.
func CompletedOptions(t testing.TB, shell, dir, line string) (found []string) {
	t.Helper()
	out, err := Completer(t, shell, dir, line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	for line := range strings.Lines(string(out)) {
		// What follows is words for people, in fish and in zsh.
		line, _, _ = strings.Cut(line, "\t")
		line, _, _ = strings.Cut(line, " -- ")
		for word := range strings.FieldsSeq(line) {
			if optionPattern.MatchString(word) {
				found = append(found, word)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
