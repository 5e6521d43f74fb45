package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// completers run a shell with our completions and print what it offers for
// the line in $1.
var completers = map[string][]string{
	"bash": {"bash", "--norc", "-c", `source ../../configs/knock.bash
		read -ra COMP_WORDS <<<"$1"; [[ $1 == *" " ]] && COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _knock; printf '%s\n' "${COMPREPLY[@]}"`, "bash"},
	"fish": {"fish", "--no-config", "-c", `source ../../configs/knock.fish; complete -C$argv[1]`},
	"zsh":  {"zsh", "-f", "testdata/complete.zsh", "../../configs"},
}

// TestCompletions asks each shell.
func TestCompletions(t *testing.T) {
	home := t.TempDir()
	os.Mkdir(filepath.Join(home, "knock"), 0o700)
	os.WriteFile(filepath.Join(home, "knock", "config"), []byte("[homebox www.example.com]\nhost = a\n[*.x]\n"), 0o600)
	for shell, argv := range completers {
		for line, want := range map[string]string{
			"knock home":                "homebox",
			"knock --profile ":          "www.example.com",
			"knock -d 5 ssh-config hom": "homebox",
			"knock proxy --fdp":         "--fdpass",
			"knock --one-t":             "--one-time",
			"knock --flags sy":          "syn",
			"knock homebox 22 --js":     "--json",
			"knock ssh-conf":            "ssh-config",
			"knock keyg":                "keygen",
			"knock spa --nat-l":         "--nat-local",
			"knock -w 22 keygen --hm":   "--hmac",
		} {
			t.Run(shell+" "+line, func(t *testing.T) {
				t.Parallel()
				nettest.NeedProgram(t, shell)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], line)...)
				cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home, "HOME="+home)
				out, err := cmd.CombinedOutput()
				// The line itself is shown by zsh, so what was typed is no proof.
				if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "*.x") {
					t.Errorf("%v: %q does not offer %s", err, out, want)
				}
			})
		}
	}
}

// TestCompletionsRunNothing: a name is a name, whatever stands in it.
func TestCompletionsRunNothing(t *testing.T) {
	home := t.TempDir()
	os.Mkdir(filepath.Join(home, "knock"), 0o700)
	const names = "[ho$(touch${IFS}made) ho`touch${IFS}made` ho${HOME} homebox]\n"
	os.WriteFile(filepath.Join(home, "knock", "config"), []byte(names), 0o600)
	for shell, argv := range completers {
		for _, line := range []string{"knock ho", "knock --profile ho", "knock ssh-config hom"} {
			t.Run(shell+" "+line, func(t *testing.T) {
				nettest.NeedProgram(t, shell)
				dir := t.TempDir()
				script := strings.ReplaceAll(strings.Join(argv, "\x00"), "../../configs", absolute(t, "../../configs"))
				words := strings.Split(strings.ReplaceAll(script, "testdata/", absolute(t, "testdata")+"/"), "\x00")
				cmd := exec.Command(words[0], append(words[1:], line)...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "XDG_CONFIG_HOME="+home, "HOME="+home)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "homebox") {
					t.Errorf("%v: %q does not offer homebox", err, out)
				}
				if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
					t.Errorf("the name was run: %q", out)
				}
			})
		}
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCompletionsKnowAllOptions: each option stands in each file.
func TestCompletionsKnowAllOptions(t *testing.T) {
	for file, form := range map[string]string{"knock.bash": "--%s", "_knock": "--%s", "knock.fish": "-l %s"} {
		text, err := os.ReadFile(filepath.Join("../../configs", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range optionNames() {
			if !strings.Contains(string(text), strings.ReplaceAll(form, "%s", name)) {
				t.Errorf("%s lacks --%s", file, name)
			}
		}
		for word := range subcommands() {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s lacks knock %s", file, word)
			}
		}
	}
}
