package livetest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
)

var traces = flag.String("conformance", "", "a directory of further recorded traces")

// TestReadRecordedTraces: knockd --read decides on recorded traces as knockd
// 0.8 does, and names the commands that it ran.
func TestReadRecordedTraces(t *testing.T) {
	knockd := program(t, "knockd")
	dirs, err := filepath.Glob("../../testdata/traces/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no traces", err)
	}
	if *traces != "" {
		more, _ := filepath.Glob(filepath.Join(*traces, "*"))
		dirs = append(dirs, more...)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			log := read(t, knockd, filepath.Join(dir, "knockd.conf"), filepath.Join(dir, "trace.pcap"))
			compare(t, filepath.Join(dir, "expect.log"), conformance.Decisions(log))
			if _, err := os.Stat(filepath.Join(dir, "expect.commands")); err == nil {
				compare(t, filepath.Join(dir, "expect.commands"), conformance.Commands(log))
			}
		})
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s -, knockd --read +:\n%s", filepath.Base(name), diff)
	}
}

// read returns what knockd --read prints on standard output.
func read(t *testing.T, knockd, conf, trace string) string {
	t.Helper()
	cmd := exec.Command(knockd, "-c", conf, "--address", "127.0.0.1", "--address", "::1", "--read", trace)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("knockd --read: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		if !stamp.MatchString(line) {
			t.Fatalf("a line without a time: %q", line)
		}
	}
	return string(out)
}
