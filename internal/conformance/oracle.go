package conformance

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

//go:embed testdata/oracle.c
var oracleSource []byte

// Oracle is the installed knockd 0.8, deciding on captured packets. It needs
// no root, but the loopback interface's usual addresses.
type Oracle struct {
	t       testing.TB
	program string
	preload string
}

// NewOracle makes the oracle ready, or skips the test and says what is
// missing.
func NewOracle(t testing.TB) *Oracle {
	t.Helper()
	nettest.NeedProgram(t, "knockd", "gcc", "/usr/include/pcap.h", "/usr/include/stdio.h")
	program, err := ReferenceProgram("knockd")
	if err != nil {
		nettest.Missing(t, "needs knockd 0.8: %v", err)
	}
	dir := t.TempDir()
	source, preload := filepath.Join(dir, "oracle.c"), filepath.Join(dir, "oracle.so")
	if err := os.WriteFile(source, oracleSource, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-Wall", "-O1", "-shared", "-fPIC", "-o", preload, source, "-lpcap").CombinedOutput()
	if err != nil {
		t.Fatalf("compile the oracle: %v\n%s", err, out)
	}
	return &Oracle{t, program, preload}
}

// Run returns knockd's log of a trace.
func (o *Oracle) Run(trace *Trace) string {
	o.t.Helper()
	dir := o.t.TempDir()
	capture := filepath.Join(dir, "trace.pcap")
	if err := os.WriteFile(capture, Capture(trace.Packets), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return o.RunFile(trace.Config, capture)
}

// RunFile is Run for a capture file with nanosecond times.
func (o *Oracle) RunFile(config, capture string) string {
	o.t.Helper()
	dir := o.t.TempDir()
	conf, log := filepath.Join(dir, "knockd.conf"), filepath.Join(dir, "log")
	if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command(o.program, "-i", "lo", "-c", conf, "-g", log)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+o.preload, "TRACE="+capture)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("the oracle: %v\n%s\n%s", err, out, config)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// ReferenceProgram returns the path of the installed program of knockd 0.8
// ("knockd" or "knock"): the first that is found or, where this project's is
// installed too and found first, Debian's.
func ReferenceProgram(name string) (path string, err error) {
	err = exec.ErrNotFound
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
		path, missing := nettest.FindProgram(path)
		if missing != nil {
			continue
		}
		out, failed := exec.Command(path, "-V").Output()
		if failed == nil && strings.HasPrefix(string(out), name+" 0.8") {
			return path, nil
		}
		err = &otherProgram{path, strings.TrimSpace(string(out))}
	}
	return "", err
}

type otherProgram struct{ path, says string }

func (e *otherProgram) Error() string { return e.path + " is another program: " + e.says }
