package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// TestInstall: the manuals go to the directories of their sections, and
// uninstall takes away all that install has brought but what is in /etc.
func TestInstall(t *testing.T) {
	nettest.NeedProgram(t, "make")
	source, dest := sourceTree(t), t.TempDir()
	if err := os.Mkdir(source+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"knock", "knockctl", "knockd"} {
		if err := os.WriteFile(source+"/bin/"+name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(target string) []string {
		t.Helper()
		out, err := exec.Command("make", "-C", source, target, "DESTDIR="+dest, "PREFIX=/usr").CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
		return filesIn(t, dest)
	}
	installed := run("install")
	for _, want := range []string{
		"usr/sbin/knockd", "usr/bin/knock", "usr/sbin/knockctl",
		"usr/share/man/man1/knock.1", "usr/share/man/man1/knockctl.1", "usr/share/man/man1/knockd.1",
		"usr/share/man/man5/knockd.conf.5",
		"usr/share/doc/knockd/README.md", "usr/share/doc/knockd/configs/knock.svg",
	} {
		if !slices.Contains(installed, want) {
			t.Errorf("%s is not installed", want)
		}
	}
	for _, left := range run("uninstall") {
		if !strings.HasPrefix(left, "etc/") {
			t.Errorf("%s is left", left)
		}
	}
	if _, err := os.Stat(dest + "/usr/share/doc/knockd"); err == nil {
		t.Error("the directory of the documents is left")
	}
}

// sourceTree makes a directory that is the source but for what is built there.
func sourceTree(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	for _, name := range []string{"Makefile", "README.md", "CHANGELOG.md", "go.mod", "go.sum", "cmd", "configs", "internal", "testdata", ".ci"} {
		path, err := filepath.Abs("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, source+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return source
}

// filesIn lists the files below a directory.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestPhony: no target of the Makefile is the name of a file, and make knows.
func TestPhony(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", "")
	var phony, targets []string
	for line := range strings.Lines(joined) {
		if names, ok := strings.CutPrefix(line, ".PHONY:"); ok {
			phony = append(phony, strings.Fields(names)...)
		} else if name, _, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(name, " \t#$=.") {
			targets = append(targets, name)
		}
	}
	slices.Sort(phony)
	slices.Sort(targets)
	if !slices.Equal(phony, targets) {
		t.Errorf("phony %q\ntargets %q", phony, targets)
	}
}
