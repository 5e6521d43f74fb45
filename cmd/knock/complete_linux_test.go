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
