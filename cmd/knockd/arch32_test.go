package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

const nftables = "github.com/google/nftables"

// arch32 runs .ci/arch32 of a source tree for a system and returns both outputs.
func arch32(t *testing.T, source, goarch string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.Command("sh", source+"/.ci/arch32")
	cmd.Env = append(plainGo(), "GOOS=linux", "GOARCH="+goarch)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("arch32: %v\n%s", err, errs.String())
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String())
}

// plainGo is the environment without what a test that runs for 32 bits has in
// it for its own sake.
func plainGo() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GOFLAGS=") && strings.Contains(v, "nftables32") || strings.HasPrefix(v, "GOARCH=")
	})
}

// moduleDir is where the source of the pinned nftables lies.
func moduleDir(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", nftables)
	cmd.Env = plainGo()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("go list -m: ", err)
	}
	return strings.TrimSpace(string(out))
}

// TestCopyOfModule: the copy that 32-bit systems are built with is the module, and
// one line is different; it comes again if somebody has changed it.
func TestCopyOfModule(t *testing.T) {
	source, module := sourceTree(t), moduleDir(t)
	copied := source + "/.build/nftables"
	for _, spoil := range []func() error{
		func() error { return nil },
		func() error { return os.Truncate(copied+"/rule.go", 10) },
		func() error { return os.RemoveAll(copied + "/expr") },
		func() error { return os.WriteFile(source+"/.build/go.mod", nil, 0o644) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		flags, _ := arch32(t, source, "mipsle")
		if want := "-tags=nftables32 '-modfile=" + source + "/.build/go.mod'"; flags != want {
			t.Errorf("flags %s\nwant  %s", flags, want)
		}
		names := filesIn(t, module)
		if got := filesIn(t, copied); !slices.Equal(got, names) {
			t.Fatalf("files of the copy %q\nof the module %q", got, names)
		}
		var changed []string
		for _, name := range names {
			changed = append(changed, differences(t, filepath.Join(module, name), filepath.Join(copied, name))...)
		}
		want := []string{`		panic(fmt.Sprintf("trying to allocate more than %d IDs in a single nftables transaction", uint32(math.MaxUint32)))`}
		if !slices.Equal(changed, want) {
			t.Errorf("changed lines %q\nwant %q", changed, want)
		}
	}
	if left := filesIn(t, source+"/.build"); slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, "new-") }) {
		t.Errorf("left behind: %q", left)
	}
}

// differences returns the lines of the second file that are not as in the first.
func differences(t *testing.T, first, second string) (lines []string) {
	t.Helper()
	var text [2][]string
	for i, name := range []string{first, second} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text[i] = strings.Split(string(content), "\n")
	}
	if len(text[0]) != len(text[1]) {
		return []string{second + " has another number of lines"}
	}
	for i, line := range text[1] {
		if line != text[0][i] {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestNoCopyNeeded: 64-bit systems need no flag, and once the module compiles for
// 32 bits, nothing is copied and somebody is told.
func TestNoCopyNeeded(t *testing.T) {
	source := sourceTree(t)
	for _, goarch := range []string{"amd64", "arm64", "riscv64"} {
		if flags, said := arch32(t, source, goarch); flags != "" || said != "" {
			t.Errorf("%s: flags %q, said %q", goarch, flags, said)
		}
	}
	newer := t.TempDir()
	if err := os.CopyFS(newer, os.DirFS(moduleDir(t))); err != nil {
		t.Fatal(err)
	}
	conn, err := os.ReadFile(newer + "/conn.go")
	if err != nil {
		t.Fatal(err)
	}
	conn = bytes.Replace(conn, []byte(`transaction", math.MaxUint32)`), []byte(`transaction", uint64(math.MaxUint32))`), 1)
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct {
		name string
		text []byte
	}{
		{newer + "/conn.go", conn},
		{source + "/go.mod", append(mod, "\nreplace "+nftables+" => "+newer+"\n"...)},
	} {
		if err := os.Remove(file.name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file.name, file.text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	flags, said := arch32(t, source, "arm")
	if want := nftables + " compiles for 32 bits: .ci/arch32 is no longer needed"; flags != "-tags=nftables32" || said != want {
		t.Errorf("flags %q, said %q\nwant %q", flags, said, want)
	}
	if _, err := os.Stat(source + "/.build"); err == nil {
		t.Error("something was copied")
	}
}

// TestMake32: make builds for a 32-bit system, without a path of the machine in
// the program; go build alone says to use make.
func TestMake32(t *testing.T) {
	nettest.NeedProgram(t, "make")
	source := sourceTree(t)
	out, err := exec.Command("make", "-C", source, "GOARCH=386").CombinedOutput()
	if err != nil {
		t.Fatalf("make GOARCH=386: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(source + "/bin/knockd")
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range info.Deps {
		if dep.Path == nftables && (dep.Replace == nil || dep.Replace.Path != "./.build/nftables") {
			t.Errorf("nftables is replaced by %+v, want ./.build/nftables", dep.Replace)
		}
	}
	program, err := os.ReadFile(source + "/bin/knockd")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte(source)) {
		t.Error("the source's path stands in the program")
	}

	cmd := exec.Command("go", "build", "-o", source+"/bin/", "./cmd/knockd")
	cmd.Dir, cmd.Env = "../..", append(plainGo(), "GOARCH=arm")
	out, err = cmd.CombinedOutput()
	if want := "to build for a 32-bit system use make GOARCH=... or sh .ci/go build"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("go build: %v\n%swant %s", err, out, want)
	}
}
