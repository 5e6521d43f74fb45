package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// fakeGetent puts a getent of the given script before all others, or with an
// empty script leaves none. It returns a file that the script may write to.
func fakeGetent(t *testing.T, script string) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "file")
	if script != "" {
		script = "#!/bin/sh\n" + strings.ReplaceAll(script, "FILE", file) + "\n"
		if err := os.WriteFile(filepath.Join(dir, "getent"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return file
}

// TestAskSystem: what getent prints is read as addresses and nothing else, and
// it is given the name as one word.
func TestAskSystem(t *testing.T) {
	const endless = "while :; do echo 192.0.2.1 STREAM; done"
	for script, want := range map[string]string{
		"echo '192.0.2.7       STREAM server'; echo '192.0.2.7  DGRAM'; echo '192.0.2.7  RAW'": "[192.0.2.7]",
		"echo 'fd07::2 STREAM s'; echo '10.7.0.2 STREAM'; echo '192.0.2.1 STREAM'":             "[fd07::2 10.7.0.2 192.0.2.1]",
		"echo 'fe80::1%2 STREAM s'; echo 'fe80::1%eth0 RAW'; echo '::ffff:192.0.2.7 STREAM'":   "[fe80::1%2 fe80::1%eth0 192.0.2.7]",
		"printf '\\t192.0.2.7\\tSTREAM 192.0.2.9\\r\\n\\n\\n'":                                 "[192.0.2.7]",
		"echo 'x; rm 192.0.2.7'; echo STREAM; echo 192.0.2.300; echo 192.0.2.1/24; echo -":     "[]",
		"echo 192.0.2.7; exit 2":                      "[]",
		"echo 'getent: unknown database' >&2; exit 1": "[]",
		"kill -9 $$": "[]",
		endless:      "[]",
		"":           "[]",
	} {
		fakeGetent(t, script)
		if got := fmt.Sprint(askSystem(t.Context(), "server")); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
	for _, name := range []string{"server", "$(touch made)", "a b;c", "*", "'", "a\nb"} {
		file := fakeGetent(t, `printf '%s|' "$#" "$@" >FILE; echo 192.0.2.7`)
		askSystem(t.Context(), name)
		if got, _ := os.ReadFile(file); string(got) != "2|ahosts|"+name+"|" {
			t.Errorf("%q: getent was called with %q", name, got)
		}
	}
	for _, name := range []string{"", "-h", "--service=files", "a\x00b"} {
		file := fakeGetent(t, `echo >FILE; echo 192.0.2.7`)
		if got := askSystem(t.Context(), name); got != nil {
			t.Errorf("%q: %v", name, got)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%q: getent was called", name)
		}
	}
}

// TestAskSystemEnds: it ends with its context and by itself, also where a child
// of getent lives on.
func TestAskSystemEnds(t *testing.T) {
	fakeGetent(t, "PATH=/bin:/usr/bin; sleep 30 & echo 192.0.2.7; wait")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if got := askSystem(ctx, "server"); got != nil {
		t.Error(got)
	}
	if got := askSystem(t.Context(), "server"); got != nil {
		t.Error(got)
	}
	if took := time.Since(start); took > 5*getentPatience {
		t.Errorf("it took %v", took)
	}
}

// TestResolveAsTheSystem: the order is getent's; where it has no answer, Go's
// resolver is asked.
func TestResolveAsTheSystem(t *testing.T) {
	const both = "echo 'fd07::2 STREAM'; echo '10.7.0.2 STREAM'; echo 'fd07::3 STREAM'"
	for _, c := range []struct {
		script, host string
		family       Family
		want         string
	}{
		{both, "server", Any, "[fd07::2] 10.7.0.2 <nil>"},
		{"echo 10.7.0.2; echo fd07::2", "server", Any, "[10.7.0.2] fd07::2 <nil>"},
		{both, "server", IPv4, "[10.7.0.2] fd07::2 <nil>"},
		{both, "server", IPv6, "[fd07::2] 10.7.0.2 <nil>"},
		{both, "server", Both, "[10.7.0.2 fd07::2] invalid IP <nil>"},
		{"echo 10.7.0.2", "server", Any, "[10.7.0.2] invalid IP <nil>"},
		{both, "192.0.2.1", Any, "[192.0.2.1] invalid IP <nil>"},
	} {
		fakeGetent(t, c.script)
		hosts, other, err := Resolve(t.Context(), c.host, c.family)
		if got := fmt.Sprint(hosts, other, err); got != c.want {
			t.Errorf("%s %s %v: %s, want %s", c.script, c.host, c.family, got, c.want)
		}
	}
	fakeGetent(t, "echo 10.7.0.2")
	if _, _, err := Resolve(t.Context(), "nosuchhost.invalid", IPv6); err == nil || err.Error() != "nosuchhost.invalid has no IPv6 address" {
		t.Error(err)
	}
}

// TestResolveLocalhost: what the system does not name is looked up without it.
func TestResolveLocalhost(t *testing.T) {
	nettest.NeedProgram(t, "/etc/hosts")
	for _, script := range []string{
		"exit 2", "",
		"echo fd07::2", // the system names no IPv4 address where the machine has none
	} {
		fakeGetent(t, script)
		// Whether this machine's localhost has ::1 is its own affair.
		hosts, _, err := Resolve(t.Context(), "localhost", IPv4)
		if got, want := fmt.Sprint(hosts, err), "[127.0.0.1] <nil>"; got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}
