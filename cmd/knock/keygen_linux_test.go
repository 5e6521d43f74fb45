package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/config"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// TestKeygenToServer writes the client's files, pastes the block into a shell of
// the server, where our knockd runs, and knocks. What cannot be pasted leaves
// nothing behind.
func TestKeygenToServer(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	srv.EchoTCP("[::]:22")
	knockd, ok := daemons(t)["ours"]
	if !ok {
		nettest.Missing(t, "needs the sources of knockd")
	}
	dir := home(t, map[string]string{"etc/knockd.conf": "[options]\nLogFile = /run/log\nStateDir = /run/state\nPidFile = /run/knockd.pid\nInterface = eth0\n" +
		"[other]\nsequence = 7000\ncommand = true\n", "run/.keep": ""})
	at := func(name string) string { return filepath.Join(dir, name) }
	server := func(stdin, name string, args ...string) result {
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(knockd.path)+":"+os.Getenv("PATH"))
		cmd.Stdin = strings.NewReader(stdin)
		return finish(t, srv, withFiles(t, cmd, at("etc"), "/etc", at("run"), "/run"))
	}
	if got := server("", knockd.path, "-d"); got.code != 0 {
		t.Fatalf("knockd -d: %+v", got)
	}
	nettest.Eventually(t, "knockd", func() bool { return packetSockets(srv) > 0 })
	block := knockAt(t, cli, dir, "keygen", "--write", "--server", nettest.Server4, "--profile", "box")
	if block.code != 0 {
		t.Fatalf("keygen: %+v", block)
	}
	pasted := server(block.stdout, "sh")
	if pasted.code != 0 {
		t.Fatalf("the block: %+v", pasted)
	}
	nettest.Eventually(t, "the guard", func() bool { return !cli.Reaches("10.7.0.2:22", 300*time.Millisecond) })
	if got := knockAt(t, cli, dir, "box"); got.code != 0 || got.stderr != "" {
		log, _ := os.ReadFile(at("run/log"))
		t.Errorf("knock box: %+v\n%s", got, log)
	}
	for name, mode := range map[string]os.FileMode{"etc/knockd/box.keys": 0o600, "etc/knockd.conf.d/box.conf": 0o600, "etc/knockd": 0o700 | os.ModeDir} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	before, _ := os.ReadFile(at("etc/knockd/box.keys"))
	again := server(block.stdout, "sh")
	if after, _ := os.ReadFile(at("etc/knockd/box.keys")); again.code != 1 || again.stderr != "/etc/knockd/box.keys is there already\n" || string(after) != string(before) {
		t.Errorf("pasted again: %+v", again)
	}
	os.WriteFile(at("etc/knockd.conf"), []byte("[other]\nsequence = 7000,x\ncommand = true\n"), 0o600)
	second := knockAt(t, cli, dir, "keygen", "--write", "--server", nettest.Server4, "--profile", "second")
	if got := server(second.stdout, "sh"); got.code == 0 || !strings.Contains(got.stderr, "[other] sequence: ") {
		t.Errorf("beside a fault: %+v", got)
	}
	if left, _ := filepath.Glob(at("etc/*/second*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// TestKeygenPhone: the door fits the keys of the code, and a packet that does
// not name an address.
func TestKeygenPhone(t *testing.T) {
	got := tryHome("/nonexistent", "keygen", "--phone", "--server", "box", "-A", "tcp/22,tcp/443")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	parts := strings.Split(got.stdout, "END")
	if len(parts) < 5 {
		t.Fatal(got.stdout)
	}
	clients, err := spa.ParseKeys("keys", []byte(strings.TrimPrefix(parts[1], "'")), spa.SHA256)
	if err != nil || len(clients) != 1 || clients[0].Name != "phone" {
		t.Fatalf("%v, %v", clients, err)
	}
	door := strings.Replace(strings.TrimPrefix(parts[3], "'"), "new = yes\n", "", 1)
	c, err := config.Parse("conf", []byte(door))
	if err != nil || c.Doors[0].Name != "box-phone" || c.Doors[0].SPA.KeyFile != "/etc/knockd/box-phone.keys" || c.Doors[0].SPA.RequireSource || len(c.Doors[0].Open) != 2 {
		t.Errorf("the door: %+v, %v\n%s", c, err, door)
	}
	code, err := qrText(clients[0].QRText())
	if err != nil || !strings.HasSuffix(got.stdout, "\n# For the app Fwknop2.\n"+code) {
		t.Errorf("the code: %v\n%s", err, got.stdout)
	}
}
