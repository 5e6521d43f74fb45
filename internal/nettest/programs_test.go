package nettest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// everywhere are programs that are on every Linux, and Go itself.
var everywhere = []string{"cat", "cp", "go", "head", "sleep", "true", "yes", "no-such-program", "nor-this"}

// testCode calls f with each file of the project that is for tests.
func testCode(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	rooms := []string{"/internal/nettest/", "/internal/conformance/"}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".b") {
			return fs.SkipDir // what a build has copied
		}
		isTest := strings.HasSuffix(path, "_test.go") || slices.ContainsFunc(rooms, func(r string) bool { return strings.Contains("../"+path, r) })
		if err != nil || !isTest || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(path, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProgramsHavePackages: what the tests run by name stands in programs.txt,
// so that .ci/deps installs it, and what stands there some test runs.
func TestProgramsHavePackages(t *testing.T) {
	var all strings.Builder
	testCode(t, func(path string, text []byte) {
		all.Write(text)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				for _, name := range programsOf(call) {
					if base := filepath.Base(name); packages[base] == "" && !slices.Contains(everywhere, base) && !strings.HasPrefix(name, "/proc/") {
						t.Errorf("%v: programs.txt does not say which package brings %s", set.Position(call.Pos()), name)
					}
				}
			}
			return true
		})
	})
	used := map[string]bool{}
	for name, from := range packages {
		used[from] = used[from] || regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).MatchString(all.String())
	}
	for from, is := range used {
		if !is {
			t.Errorf("programs.txt has the package %s, which no test uses", from)
		}
	}
}

// programsOf returns the programs that a call names, as far as they are
// written out.
func programsOf(call *ast.CallExpr) (names []string) {
	var function, of string
	switch f := call.Fun.(type) {
	case *ast.Ident:
		function = f.Name
	case *ast.SelectorExpr:
		function = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			of = x.Name
		}
	}
	args := call.Args
	switch {
	case function == "NeedProgram" || function == "CommandContext":
		args = args[min(1, len(args)):]
	case (function == "Run" || function == "Try") && !slices.Contains([]string{"t", "b", "m", "f"}, of):
	case function == "NeedLibrary":
		args = args[min(1, len(args)):min(2, len(args))]
	case function == "FindProgram" || function == "LookPath" || function == "Command":
	default:
		return nil
	}
	if function != "NeedProgram" {
		args = args[:min(1, len(args))]
	}
	for _, a := range args {
		if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if name, err := strconv.Unquote(lit.Value); err == nil && name != "" && name[0] != '-' {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestDepsReadsTheTable: .ci/deps installs the packages of the table, those of
// the host firewalls only if they are asked for.
func TestDepsReadsTheTable(t *testing.T) {
	for _, firewalls := range []string{"", "1"} {
		var want []string
		for line := range strings.Lines(programsText) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] == "#" || firewalls == "" && slices.Contains(words, "firewalls") {
				continue
			}
			want = append(want, words[1])
		}
		slices.Sort(want)
		want = slices.Compact(want)
		deps := exec.Command("sh", "../../.ci/deps", "list")
		deps.Env = append(os.Environ(), "KNOCKD_TEST_FIREWALLS="+firewalls, "LC_ALL=C")
		out, err := deps.Output()
		if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, want) {
			t.Errorf("KNOCKD_TEST_FIREWALLS=%s: %v, %v; want %v", firewalls, got, err, want)
		}
	}
	if !slices.Contains(strings.Fields(programsText), "nginx") {
		t.Error("the table lacks nginx")
	}
}

// TestOneWayToMiss: every test says in the same way what it lacks; with
// CI=true none of them passes over it.
func TestOneWayToMiss(t *testing.T) {
	testCode(t, func(path string, text []byte) {
		if !strings.Contains(path, "nettest/") && strings.Contains(string(text), `Getenv("CI")`) {
			t.Errorf("%s reads CI itself; nettest.Missing does", path)
		}
	})
}
