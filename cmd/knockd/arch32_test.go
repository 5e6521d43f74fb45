package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

const (
	nftables = "github.com/google/nftables"
	gopacket = "github.com/google/gopacket"
)

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

// moduleDir is where the source of a pinned module lies.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Env = plainGo()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("go list -m: ", err)
	}
	return strings.TrimSpace(string(out))
}

// decoderTable is a line of gopacket/layers that names a decoder, without it.
var decoderTable = regexp.MustCompile(`^\t+(LayerType\w+ +=|\w+\[\w+\] += ).*gopacket\.DecodeFunc\(nil\)`)

// TestCopiesOfModules: the copies that 32-bit systems are built with are the
// modules: of nftables one line is different, of gopacket/layers those that name
// decoders, and two are gone. What somebody has changed comes again.
func TestCopiesOfModules(t *testing.T) {
	source := sourceTree(t)
	for _, spoil := range []func() error{
		func() error { return nil },
		func() error { return os.Truncate(source+"/.build/nftables/rule.go", 10) },
		func() error { return os.RemoveAll(source + "/.build/gopacket/layers") },
		func() error { return os.WriteFile(source+"/.build/go.mod", nil, 0o644) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		flags, said := arch32(t, source, "mipsle")
		if want := "-tags=nftables32 '-modfile=" + source + "/.build/go.mod'"; flags != want || said != "" {
			t.Errorf("flags %s, said %q\nwant  %s", flags, said, want)
		}
		added, removed := differences(t, moduleDir(t, nftables), source+"/.build/nftables")
		if len(removed) != 1 || !slices.Equal(added, []string{"conn.go: " +
			`		panic(fmt.Sprintf("trying to allocate more than %d IDs in a single nftables transaction", uint32(math.MaxUint32)))`}) {
			t.Errorf("nftables: removed %q\nadded %q", removed, added)
		}
		added, removed = differences(t, moduleDir(t, gopacket), source+"/.build/gopacket")
		for _, line := range added {
			if file, text, _ := strings.Cut(line, ": "); file != "layers/layertypes.go" && file != "layers/enums.go" || !decoderTable.MatchString(text) {
				t.Errorf("gopacket: added %q", line)
			}
		}
		for _, table := range []string{"Ethernet", "PPP"} {
			line := "layers/enums_generated.go: \tinitUnknownTypesFor" + table + "Type()"
			if !slices.Contains(removed, line) {
				t.Errorf("gopacket: %q is left", line)
			}
		}
		if len(added) < 100 || len(removed) != len(added)+2 {
			t.Errorf("gopacket: %d lines removed, %d added", len(removed), len(added))
		}
	}
	if left := filesIn(t, source+"/.build"); slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, "new-") }) {
		t.Errorf("left behind: %q", left)
	}
}

// differences returns the lines that are in the second tree of files and not in
// the first, and the other way round, each behind the file's name.
func differences(t *testing.T, first, second string) (added, removed []string) {
	t.Helper()
	names := filesIn(t, first)
	if got := filesIn(t, second); !slices.Equal(got, names) {
		t.Fatalf("files of %s %q\nof %s %q", first, names, second, got)
	}
	lines := func(dir, name string) []string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(content), "\n")
	}
	for _, name := range names {
		was, is := lines(first, name), lines(second, name)
		for len(was) > 0 || len(is) > 0 {
			switch {
			case len(was) > 0 && len(is) > 0 && was[0] == is[0]:
				was, is = was[1:], is[1:]
			case len(was) > len(is):
				removed, was = append(removed, name+": "+was[0]), was[1:]
			default:
				added, is = append(added, name+": "+is[0]), is[1:]
				if len(was) > 0 {
					removed, was = append(removed, name+": "+was[0]), was[1:]
				}
			}
		}
	}
	return added, removed
}

// TestNoCopyNeeded: 64-bit systems need no flag, and once nftables compiles for 32
// bits, it is not copied and somebody is told.
func TestNoCopyNeeded(t *testing.T) {
	source := sourceTree(t)
	for _, goarch := range []string{"amd64", "arm64", "riscv64"} {
		if flags, said := arch32(t, source, goarch); flags != "" || said != "" {
			t.Errorf("%s: flags %q, said %q", goarch, flags, said)
		}
	}
	newer := t.TempDir()
	if err := os.CopyFS(newer, os.DirFS(moduleDir(t, nftables))); err != nil {
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
	_, said := arch32(t, source, "arm")
	if want := nftables + " compiles for 32 bits: .ci/arch32 need not copy it any more"; said != want {
		t.Errorf("said %q\nwant %q", said, want)
	}
	if _, err := os.Stat(source + "/.build/nftables"); err == nil {
		t.Error("nftables was copied")
	}
	if mod, err := os.ReadFile(source + "/.build/go.mod"); err != nil || strings.Contains(string(mod), "=> ./.build/nftables") {
		t.Errorf("%v: %s", err, mod)
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
		want := "./.build/" + path.Base(dep.Path)
		if (dep.Path == nftables || dep.Path == gopacket) && (dep.Replace == nil || dep.Replace.Path != want) {
			t.Errorf("%s is replaced by %+v, want %s", dep.Path, dep.Replace, want)
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
