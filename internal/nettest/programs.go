package nettest

import (
	"debug/elf"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed programs.txt
var programsText string

// packages says which package of Debian brings a program.
var packages = readPrograms(programsText)

func readPrograms(text string) map[string]string {
	table := map[string]string{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] != "#" {
			table[filepath.Base(words[0])] = words[1]
		}
	}
	return table
}

// NeedProgram skips the test unless all the programs are installed; a name
// with a slash may be any file. With CI=true it fails, and without a line in
// programs.txt it always does.
func NeedProgram(t testing.TB, names ...string) {
	t.Helper()
	var absent, missing []string
	for _, name := range names {
		from, ok := packages[filepath.Base(name)]
		if !ok {
			t.Fatalf("nettest: programs.txt does not say which package brings %s", name)
		}
		if _, err := FindProgram(name); err != nil {
			absent, missing = append(absent, name), append(missing, from)
		}
	}
	if len(absent) > 0 {
		slices.Sort(missing)
		Missing(t, "needs %s (Debian: %s)", strings.Join(absent, ", "), strings.Join(slices.Compact(missing), " "))
	}
}

// FindProgram returns the path of an installed program, looking where only
// root's PATH looks too.
func FindProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		_, err := os.Stat(name)
		return name, err
	}
	rootsPath()
	return exec.LookPath(name)
}

// NeedLibrary skips the test unless an installed program was built with a
// library: "libpcap". With CI=true too, for it is Debian's choice.
func NeedLibrary(t testing.TB, name, library string) {
	t.Helper()
	NeedProgram(t, name)
	path, err := FindProgram(name)
	if err != nil {
		return // the test has ended
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(libraries, func(l string) bool { return strings.HasPrefix(l, library+".") }) {
		t.Skipf("needs %s with %s: this one was built without", name, library)
	}
}

// rootsPath lets this process and its children find what root finds: Debian's
// users have no sbin in their PATH, and neither has root after a plain su.
func rootsPath() {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(dirs, dir) {
			os.Setenv("PATH", fmt.Sprintf("%s:%s", os.Getenv("PATH"), dir))
		}
	}
}
