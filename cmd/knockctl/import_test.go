package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/nettest"
)

// importRun calls the command and returns the status and what it printed, with
// the directory as DIR.
func importRun(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"import"}, args...), &world{stdout: &out, stderr: &errs})
	return code, strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errs.String(), dir, "DIR")
}

const accessConf = "SOURCE ANY\nKEY open-sesame-17\nHMAC_KEY hmac-passphrase-42\nOPEN_PORTS tcp/22\n"

// TestImportDry prints the drop-in and, apart from it, the report; no key.
func TestImportDry(t *testing.T) {
	dir := t.TempDir()
	access := nettest.Write(t, filepath.Join(dir, "access.conf"), accessConf)
	nettest.Write(t, filepath.Join(dir, "fwknopd.conf"), "PCAP_FILTER udp port 4000\n")
	code, stdout, stderr := importRun(t, dir, "fwknop", access)
	if code != 0 || !strings.Contains(stdout, "[fwknop1]\n") || !strings.Contains(stdout, "= 4000\n") || !strings.Contains(stdout, "= /etc/knockd/fwknop1.keys\n") ||
		!strings.HasPrefix(stderr, "carried over:\n  DIR/fwknopd.conf:1: PCAP_FILTER: spa_port = 4000\n") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if text := stdout + stderr; strings.Contains(text, "sesame") || strings.Contains(text, "b3Blbi") || strings.Contains(text, "passphrase-42") {
		t.Error("a key is printed")
	}
	if code, stdout, _ := importRun(t, dir, "fwknop", "--server", "-", access); code != 0 || !strings.Contains(stdout, "= 62201\n") {
		t.Errorf("without fwknopd.conf: %d\n%s", code, stdout)
	}
}

// TestImportWrite writes what knockd reads, and nothing over what is there.
func TestImportWrite(t *testing.T) {
	dir := t.TempDir()
	access := nettest.Write(t, filepath.Join(dir, "access.conf"), accessConf+"SOURCE 10.0.0.0/8\nKEY second\nHMAC_KEY third\n")
	main := nettest.Write(t, filepath.Join(dir, "knockd.conf"), "[options]\n[mine]\nsequence = 7000\ncommand = true\n")
	code, stdout, stderr := importRun(t, dir, "fwknop", access, "--write", main+".d")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "the stanza is door [fwknop2]") {
		t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
	}
	c, err := config.Load(main)
	if err != nil {
		t.Fatal(err)
	}
	ready, _, err := engine.Prepare(c)
	doors := engine.SPADoors(ready)
	if err != nil || len(doors) != 2 {
		t.Fatalf("%v, %v", doors, err)
	}
	for _, name := range []string{"fwknop1.keys", "fwknop2.keys", importName} {
		if info, err := os.Stat(filepath.Join(main+".d", name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	code, _, stderr = importRun(t, dir, "fwknop", access, "--write", main+".d")
	want := "knockctl: open DIR/knockd.conf.d/fwknop1.keys: file exists\nknockctl: hint: nothing is overwritten: move it away, or choose another directory\n"
	if code != 1 || stderr != want {
		t.Errorf("again: %d %s", code, stderr)
	}
	os.Remove(filepath.Join(main+".d", "fwknop1.keys"))
	if code, _, _ := importRun(t, dir, "fwknop", access, "--write", main+".d"); code != 1 {
		t.Error("written over a file that is there")
	}
	if _, err := os.Stat(filepath.Join(main+".d", "fwknop1.keys")); err == nil {
		t.Error("half an import was left")
	}
}

func TestImportFaults(t *testing.T) {
	dir := t.TempDir()
	bad := nettest.Write(t, filepath.Join(dir, "bad.conf"), "SOURCE ANY\nKEY same\nHMAC_KEY same\n  \n")
	for args, want := range map[string]string{
		"":                    "2 knockctl: import takes fwknop and at most one file\nknockctl: hint: " + importUsage + "\n",
		"ssh":                 "2 knockctl: import takes fwknop and at most one file\nknockctl: hint: " + importUsage + "\n",
		"fwknop " + bad:       "1 knockctl: DIR/bad.conf:4: a line of blanks, at which fwknopd stops\nknockctl: DIR/bad.conf:1: KEY and HMAC_KEY are equal\n",
		"fwknop " + dir + "/": "1 knockctl: read DIR/: is a directory\n",
	} {
		code, stdout, stderr := importRun(t, dir, strings.Fields(args)...)
		if got := string(rune('0'+code)) + " " + stderr + stdout; got != want {
			t.Errorf("%q: %s\nwant %s", args, got, want)
		}
	}
}

// TestImportNothing: without a door there is nothing to write, and the status
// says so.
func TestImportNothing(t *testing.T) {
	dir := t.TempDir()
	access := nettest.Write(t, filepath.Join(dir, "access.conf"), "SOURCE ANY\nGPG_DECRYPT_ID ABCD\nGPG_ALLOW_NO_PW Y\nOPEN_PORTS tcp/22\n")
	const report = "cannot be carried over:\n  DIR/access.conf:1: the stanza becomes no door: it has GPG keys only, and GPG is not supported\n" +
		"knockctl: DIR/access.conf: nothing can be carried over\n"
	for _, args := range [][]string{{"fwknop", access}, {"fwknop", access, "--write", filepath.Join(dir, "new")}} {
		if code, stdout, stderr := importRun(t, dir, args...); code != 3 || stdout != "" || stderr != report {
			t.Errorf("%q: %d\n%s\n%s", args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a directory was made")
	}
}

// TestImportNumbers: a comment behind a number does not count.
func TestImportNumbers(t *testing.T) {
	dir := t.TempDir()
	access := nettest.Write(t, filepath.Join(dir, "access.conf"), accessConf+"FW_ACCESS_TIMEOUT       30       # closes after half a minute\n")
	code, stdout, stderr := importRun(t, dir, "fwknop", access)
	if code != 0 || !strings.Contains(stdout, "cmd_timeout     = 30\n") ||
		!strings.Contains(stderr, `FW_ACCESS_TIMEOUT: 30, as fwknopd reads it; "# closes after half a minute" behind it does not count`) {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
}
