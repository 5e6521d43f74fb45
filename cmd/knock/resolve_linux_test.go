package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// orders are ways to configure the order of addresses, and the family that
// comes first in them: glibc's own, which takes local IPv6 addresses before
// IPv4, and the other way around.
var orders = map[string]string{
	"# nothing\n":                    nettest.Server6,
	"precedence ::ffff:0:0/96 100\n": nettest.Server4,
}

// names are files of a directory: hosts with a name that has both families,
// and no other source of names.
type names struct {
	t   *testing.T
	dir string
}

func newNames(t *testing.T) names {
	n := names{t, t.TempDir()}
	n.write("hosts", nettest.Server4+" server\n"+nettest.Server6+" server\n"+nettest.Server4+" four\n"+nettest.Server6+" six\n")
	n.write("nsswitch.conf", "hosts: files\n")
	return n
}

func (n names) write(name, text string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// run runs a command on a host with these files and an order of addresses.
func (n names) run(h *nettest.Host, order string, cmd *exec.Cmd) result {
	n.t.Helper()
	return finish(n.t, h, withFiles(n.t, cmd, n.dir+"/hosts", "/etc/hosts", n.dir+"/nsswitch.conf", "/etc/nsswitch.conf",
		n.write("gai.conf", order), "/etc/gai.conf"))
}

// knock runs the command under test so, with a home directory.
func (n names) knock(h *nettest.Host, order, home string, args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTime)
	defer cancel()
	cmd := command(ctx, args...)
	cmd.Env = append(cmd.Env, "HOME="+home, "LOGNAME=tester")
	return n.run(h, order, cmd)
}

// TestOrderOfAddresses: the first address is that of getent, however the
// system orders them, in each form that resolves a name.
func TestOrderOfAddresses(t *testing.T) {
	nettest.NeedProgram(t, "getent")
	if _, err := os.Stat("/etc/gai.conf"); err != nil {
		nettest.Missing(t, "needs an /etc/gai.conf to put another in its place: %v", err)
	}
	for order, want := range orders {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cli, srv := nettest.Pair(t)
			srv.EchoTCP("[::]:22")
			n := newNames(t)
			system := n.run(cli, order, exec.Command("getent", "ahosts", "server"))
			if first, _, _ := strings.Cut(system.stdout, " "); first != want {
				t.Fatalf("getent says %+v, want first %s", system, want)
			}
			nettest.NeedProgram(t, "/usr/bin/knock")
			if old := n.run(cli, order, exec.Command("/usr/bin/knock", "-v", "server", "7000")); old.stdout != "hitting tcp "+want+":7000\n" {
				t.Errorf("knock 0.8: %+v, want %s", old, want)
			}
			files := home(t, map[string]string{".config/knock/config": "[door]\nhost = server\nsequence = 7000\n" +
				"[keys]\nhost = server\nspa_key_file = keys\nspa_access = tcp/22\n", ".config/knock/keys": testKeys})
			for args, form := range map[string]string{
				"-v server 7000":                          "hitting tcp ADDR:7000\n",
				"-v door":                                 "hitting tcp ADDR:7000\n",
				"-v --profile door":                       "hitting tcp ADDR:7000\n",
				"--dry-run server 7000":                   "would hit tcp ADDR:7000\n",
				"-4 -v server 7000":                       "hitting tcp 10.7.0.2:7000\n",
				"-6 -v server 7000":                       "hitting tcp fd07::2:7000\n",
				"-v four 7000":                            "hitting tcp 10.7.0.2:7000\n",
				"-v six 7000":                             "hitting tcp fd07::2:7000\n",
				"-v spa -a 10.7.0.1 keys":                 "sending an authorization to udp 10.7.0.2:62201\n",
				"spa -v -6 --ipv6-extension keys":         "sending an authorization to udp [fd07::2]:62201\n",
				"spa -v --ipv6-extension -a fd07::1 keys": "sending an authorization to udp HOST:62201\n",
			} {
				got := n.knock(cli, order, files, strings.Fields(args)...)
				line := strings.NewReplacer("ADDR", want, "HOST", strings.ReplaceAll("["+want+"]", "["+nettest.Server4+"]", nettest.Server4)).Replace(form)
				if got.code != 0 || got.stdout != line || got.stderr != "" {
					t.Errorf("knock %s: %+v, want %q", args, got, line)
				}
			}
			if got := n.knock(cli, order, files, "-v", "proxy", "door", "22"); got.code != 0 || !strings.Contains(got.stderr, "hitting tcp "+want+":7000\n") {
				t.Errorf("knock proxy: %+v", got)
			}
		})
	}
}

// TestWaitSaysFamily: where a name has both families, the command says for
// which the door is open.
func TestWaitSaysFamily(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	srv.EchoTCP("[::]:22")
	n := newNames(t)
	files := home(t, map[string]string{".config/knock/config": "[keys]\nhost = server\nspa_key_file = keys\nspa_access = tcp/22\n" +
		"[once]\nhost = server\none_time_file = once\n[four]\nhost = server\naddress = 10.7.0.2\nsequence = 7\n",
		".config/knock/keys": testKeys, ".config/knock/once": " 7\n"})
	for args, want := range map[string]string{
		"-w tcp/22 server 7":       "tcp/22 is open at fd07::2; server has 10.7.0.2 too: --both knocks at both\n",
		"-4 -w tcp/22 server 7":    "tcp/22 is open at 10.7.0.2; server has fd07::2 too: --both knocks at both\n",
		"--both -w 22 server 7":    "",
		"-w 22 four":               "",
		"-w 22 six 7":              "",
		"-w 22 10.7.0.2 7":         "",
		"server 7":                 "",
		"-w 22 keys":               "tcp/22 is open at 10.7.0.2; server has fd07::2 too: take the same way in, such as ssh -4\n",
		"-6 -w 22 once":            "tcp/22 is open at fd07::2; server has 10.7.0.2 too: take the same way in, such as ssh -6\n",
		"--dry-run -w 22 server 7": "would hit tcp fd07::2:7\nwould wait 10s for tcp/22\n",
	} {
		got := n.knock(cli, "# nothing\n", files, strings.Fields(args)...)
		if got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("knock %s: %+v, want %q", args, got, want)
		}
	}
	if got := n.knock(cli, "# nothing\n", files, "--json", "-w", "22", "server", "7"); !strings.HasPrefix(got.stdout, `{"host":"server","addresses":["fd07::2"]`) {
		t.Errorf("%+v", got)
	}
}

// TestUnknownNames: a name that the system does not know is unknown, and the
// message says where it comes from.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	cli, _ := nettest.Pair(t)
	n := newNames(t)
	files := home(t, map[string]string{".config/knock/config": "[door]\nhost = nosuchname\nsequence = 7\n"})
	for args, want := range map[string]string{
		"nosuchname 7":    "knock: unknown host nosuchname\nknock: hint: check the spelling, or knock at the address in numbers\n",
		"ssh 7000,8000":   "knock: unknown host ssh\nknock: hint: check the spelling, or knock at the address in numbers\n",
		"door":            "knock: unknown host nosuchname\nknock: hint: check the host of [door] in HOME/.config/knock/config\n",
		"--profile door":  "knock: unknown host nosuchname\nknock: hint: check the host of [door] in HOME/.config/knock/config\n",
		"-6 four 7":       "knock: four has no IPv6 address\nknock: hint: leave out -4 and -6, or name another address\n",
		"-- -nosuch 7000": "knock: unknown host -nosuch\nknock: hint: check the spelling, or knock at the address in numbers\n",
	} {
		got := n.knock(cli, "", files, strings.Fields(args)...)
		if got.code != 2 || strings.ReplaceAll(got.stderr, files, "HOME") != want || got.stdout != "" {
			t.Errorf("knock %s: %+v, want %q", args, got, want)
		}
	}
}

// TestGetentHangs: a system that does not answer is given up, and Go's
// resolver takes its place.
func TestGetentHangs(t *testing.T) {
	t.Parallel()
	cli, _ := nettest.Pair(t)
	n := newNames(t)
	fake := n.write("getent", "#!/bin/sh\nexec sleep 600\n")
	os.Chmod(fake, 0o755)
	cmd := command(t.Context(), "-v", "four", "7000")
	cmd.Env = append(cmd.Env, "PATH="+n.dir+":"+os.Getenv("PATH"))
	got := n.run(cli, "", cmd)
	if got.code != 0 || got.stdout != "hitting tcp 10.7.0.2:7000\n" || got.took > time.Minute {
		t.Errorf("%+v", got)
	}
}
