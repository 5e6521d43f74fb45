package livetest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
)

var traces = flag.String("conformance", "", "a directory of further recorded traces")

// TestReadRecordedTraces: knockd --read decides on recorded traces as knockd
// 0.8 does, and names the commands that it ran.
func TestReadRecordedTraces(t *testing.T) { decidesTraces(t, program(t, "knockd")) }

// decidesTraces fails the test unless a knockd decides as it should on recorded
// traces.
func decidesTraces(t *testing.T, knockd string) {
	t.Helper()
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

// TestReadRandomTraces: on random traces --read decides as the model of
// knockd 0.8 does, and runs what that would have run: the start command at
// each opening, the stop command after it.
func TestReadRandomTraces(t *testing.T) {
	knockd := program(t, "knockd")
	random := nettest.Rand(t)
	for range 10 {
		trace := conformance.Random(random, time.Second)
		dir := t.TempDir()
		conf := "[options]\n"
		for _, d := range trace.Doors {
			_, section, _ := strings.Cut(conformance.ConfigText([]*domain.Door{d}), "\n")
			conf += section + "\tstart_command = start %IP%\n\tcmd_timeout = 5\n\tstop_command = stop %IP%\n"
		}
		nettest.Write(t, dir+"/knockd.conf", conf)
		nettest.Write(t, dir+"/trace.pcap", string(conformance.Capture(trace.Packets)))
		log := read(t, knockd, dir+"/knockd.conf", dir+"/trace.pcap")
		model := (&conformance.Model{Doors: trace.Doors}).Run(trace.Packets)
		if diff := cmp.Diff(conformance.Decisions(model), conformance.Decisions(log)); diff != "" {
			t.Fatalf("model -, knockd --read +:\n%s\n%s", diff, conf)
		}
		var commands strings.Builder
		for line := range strings.Lines(model) {
			if who, door, ok := strings.Cut(strings.TrimSuffix(line, ": OPEN SESAME\n"), ": "); ok && strings.Contains(line, "SESAME") {
				commands.WriteString(door + ": running command: start " + who + "\n" + door + ": running command: stop " + who + "\n")
			}
		}
		if diff := cmp.Diff(conformance.Commands(commands.String()), conformance.Commands(log)); diff != "" {
			t.Fatalf("commands, model -, knockd --read +:\n%s\n%s", diff, conf)
		}
	}
}

// TestReadWhatWasLive: what the daemon decided live it decides again when it
// reads a recording of the same packets.
func TestReadWhatWasLive(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t) // tcpdump sets its groups
	nettest.NeedProgram(t, "tcpdump")
	client, server := nettest.Pair(t)
	d := start(t, server, threeDoors)
	recording := d.file("recording.pcap")
	dump := exec.Command("tcpdump", "-i", "eth0", "-U", "-w", recording, "--immediate-mode", "-Z", "root")
	var said syncBuffer
	dump.Stderr = &said
	if err := server.Start(dump); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "tcpdump listens", func() bool { return strings.Contains(said.String(), "listening on") })
	knock(t, client, nettest.Server4, "7000:udp", "8000", "9000:udp", "8000", "5000:udp", "7000", "8000", "7000", "9000")
	knock(t, client, nettest.Server6, "7000", "8000", "9000", "5000:udp", "7000", "8000")
	d.waitFor("OPEN SESAME", 4)
	d.waitFor("fd07::1: syn: Stage 2", 2)
	d.waitFor("command timeout", 4)
	dump.Process.Signal(syscall.SIGINT)
	dump.Wait()
	cmd := exec.Command(program(t, "knockd"), "-c", d.conf, "--address", nettest.Server4, "--address", nettest.Server6, "-r", recording)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(conformance.Decisions(d.text()), conformance.Decisions(string(out))); diff != "" {
		t.Errorf("live -, --read +:\n%s", diff)
	}
	if diff := cmp.Diff(conformance.Commands(d.text()), conformance.Commands(string(out))); diff != "" {
		t.Errorf("commands, live -, --read +:\n%s", diff)
	}
}
