package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// login is an sshd behind a door, and what an ssh needs to get in.
type login struct {
	t      testing.TB
	client *nettest.Host
	server *nettest.Host
	dir    string
	env    []string
}

// newLogin starts sshd on a server, with a key for the user of the test.
func newLogin(t testing.TB, client, server *nettest.Host) *login {
	t.Helper()
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "ssh", "ssh-keygen", "scp", "/usr/sbin/sshd")
	l := &login{t: t, client: client, server: server, dir: t.TempDir()}
	l.env = append(os.Environ(), asKnock+"=1", "HOME="+l.dir, "XDG_CONFIG_HOME=")
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.path(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	os.MkdirAll("/run/sshd", 0o755) // sshd of Debian does not start without it
	l.write("sshd_config", fmt.Sprintf(`Port 22
HostKey %[1]s/host
AuthorizedKeysFile %[1]s/user.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
LogLevel VERBOSE
`, l.dir))
	log, err := os.Create(l.path("sshd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", l.path("sshd_config"))
	sshd.Stdout, sshd.Stderr = log, log
	if err := server.Start(sshd); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "sshd", func() bool { return strings.Contains(l.log(), "Server listening on 0.0.0.0") })
	return l
}

func (l *login) path(name string) string { return filepath.Join(l.dir, name) }

func (l *login) write(name, text string) {
	l.t.Helper()
	os.MkdirAll(filepath.Dir(l.path(name)), 0o700)
	nettest.Write(l.t, l.path(name), text)
}

func (l *login) log() string {
	text, _ := os.ReadFile(l.path("sshd.log"))
	return string(text)
}

// sshConfig writes the client's configuration: the lines given, and below
// them what every host has.
func (l *login) sshConfig(lines string) {
	l.t.Helper()
	l.write("ssh_config", lines+fmt.Sprintf(`
Host *
    User root
    IdentityFile %[1]s/user
    IdentitiesOnly yes
    UserKnownHostsFile /dev/null
    StrictHostKeyChecking no
    LogLevel ERROR
`, l.dir))
}

// run runs a command on the client, with the environment for ssh and knock.
func (l *login) run(name string, args ...string) result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = l.env, l.dir
	return finish(l.t, l.client, cmd)
}

func (l *login) ssh(args ...string) result {
	l.t.Helper()
	return l.run("ssh", append([]string{"-F", l.path("ssh_config")}, args...)...)
}

// self is this binary, which with the login's environment is knock.
func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

const profileText = `[door]
host     = 10.7.0.2
sequence = 7000, 8000, 9000
`

// TestSSH logs in, copies and clones through doors of knockd 0.8, in each way
// that knock offers, and looks at what sshd saw.
func TestSSH(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for name, daemon := range daemons(t) {
		for form, lines := range map[string]string{
			"ProxyCommand": "Host door\n HostName 10.7.0.2\n ProxyCommand " + self(t) + " proxy --profile %n %h %p\n",
			"fdpass":       "Host door\n HostName 10.7.0.2\n ProxyUseFdpass yes\n ProxyCommand " + self(t) + " proxy --fdpass --profile %n %h %p\n",
			"Match exec":   "Host door\n HostName 10.7.0.2\nMatch originalhost door exec \"" + self(t) + " -w tcp/%p --profile door %h\"\n",
		} {
			t.Run(form+" "+name, func(t *testing.T) {
				t.Parallel()
				cli, srv := nettest.Pair(t)
				l := newLogin(t, cli, srv)
				d := shutPort(t, srv, "drop")
				daemon.start(t, srv, "eth0", manDoors)
				l.write(".config/knock/config", profileText)
				l.sshConfig(lines)
				sessions := tryAll(t, l, d)
				log := l.log()
				if n := strings.Count(log, "Accepted publickey"); n != sessions {
					t.Errorf("sshd let in %d sessions of %d", n, sessions)
				}
				if form != "Match exec" && strings.Count(log, "Connection from") != sessions {
					t.Errorf("sshd saw more than the sessions:\n%s", log)
				}
			})
		}
	}
}

// tryAll runs the ways to use ssh, shutting the door before each, and returns
// how many there are.
func tryAll(t *testing.T, l *login, d door) (sessions int) {
	t.Helper()
	data := make([]byte, 8<<20)
	rand.Read(data)
	l.write("data", string(data))
	l.run("git", "init", "-q", "-b", "main", "repo")
	l.run("git", "-C", "repo", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "one")
	l.env = append(l.env, "GIT_SSH_COMMAND=ssh -F "+l.path("ssh_config"))
	for _, c := range [][]string{
		{"git", "clone", "-q", "door:" + l.path("repo"), "copy"},
		{"scp", "-q", "-F", l.path("ssh_config"), "data", "door:" + l.path("up")},
		{"scp", "-q", "-F", l.path("ssh_config"), "door:" + l.path("up"), "down"},
	} {
		sessions++
		d.Try("nft", "flush set inet door open")
		// What a login shell on this machine says is not asked.
		if got := l.run(c[0], c[1:]...); got.code != 0 || strings.Contains(got.stderr, "knock:") {
			t.Errorf("%q: %+v", c, got)
		}
	}
	d.Try("nft", "flush set inet door open")
	if got := l.ssh("door", "echo in; exit 7"); got.code != 7 || got.stdout != "in\n" || strings.Contains(got.stderr, "knock:") {
		t.Errorf("login: %+v", got)
	}
	for _, name := range []string{"up", "down"} {
		if copied, _ := os.ReadFile(l.path(name)); !bytes.Equal(copied, data) {
			t.Errorf("%s: %d bytes, not the %d sent", name, len(copied), len(data))
		}
	}
	if _, err := os.Stat(l.path("copy/.git/refs/remotes")); err != nil {
		t.Error(err)
	}
	return sessions + 1
}

// TestKnockSSH runs ssh by way of knock ssh, with one-time lines, and with
// hosts that ssh reaches by a detour.
func TestKnockSSH(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	l := newLogin(t, cli, srv)
	d := shutPort(t, srv, "drop")
	const doors = "[options]\n logfile = %[1]s/log\n[once]\n one_time_sequences = %[1]s/seq\n seq_timeout = 10\n tcpflags = syn\n" +
		" command = nft add element inet door open { 22 }\n"
	const lines = " 1001,1002:udp,1003\n 2001,2002\n"
	l.write("seq", lines)
	l.write("mine", lines)
	daemons(t)["knockd 0.8"].start(t, srv, "eth0", strings.ReplaceAll(doors, "%[1]s/seq", l.path("seq")))
	l.write(".config/knock/config", "[door d?]\nhost = 10.7.0.2\none_time_file = "+l.path("mine")+"\n"+
		"[x]\nhost = nosuchname.invalid\nsequence = 7\n[y]\nhost = 10.7.0.2\none_time_file = "+l.path("none")+"\n")
	l.sshConfig("Host jumped\n ProxyJump elsewhere\nHost odd\n ProxyCommand nc %h %p\nHost ready\n HostName 10.7.0.2\n ProxyCommand " +
		self(t) + " -v proxy --profile door %h %p\n")
	ssh := func(args ...string) result {
		l.t.Helper()
		d.Try("nft", "flush set inet door open")
		return l.run(self(t), append([]string{"ssh", "-F", l.path("ssh_config")}, args...)...)
	}
	for i, host := range []string{"door", "ready"} {
		if got := ssh(host, "echo in"); got.code != 0 || got.stdout != "in\n" {
			t.Errorf("%s: %+v", host, got)
		}
		mine, _ := os.ReadFile(l.path("mine"))
		if n := strings.Count(string(mine), "#"); n != i+1 {
			t.Errorf("one-time file: %q", mine)
		}
	}
	if got := ssh("door", "echo in"); got.code != 255 || !strings.HasPrefix(got.stderr, "knock: one-time file "+l.path("mine")+
		": no unused sequence left\nknock: hint: write new sequences into the file, here and at the server\n") {
		t.Errorf("used up: %+v", got)
	}
	if got := ssh("jumped"); got.code != 1 || got.stderr != "knock: ssh reaches this host by ProxyJump elsewhere\n"+
		"knock: hint: if the jump host has the door, put the output of knock ssh-config elsewhere into ~/.ssh/config and run plain ssh\n" {
		t.Errorf("jumped: %+v", got)
	}
	if got := ssh("odd"); got.code != 1 || !strings.HasPrefix(got.stderr, "knock: this host has a ProxyCommand already: nc %h %p\nknock: hint: ") {
		t.Errorf("odd: %+v", got)
	}
	// What ssh itself would add to that, nobody needs to read.
	for host, want := range map[string]string{
		"stranger": "knock: no profile stranger\nknock: hint: write a section [stranger] into " + l.path(".config/knock/config") +
			"; knock profiles lists those that are there\n",
		"y":    "knock: one-time file " + l.path("none") + ": open: no such file or directory\n",
		"door": "knock: one-time file " + l.path("mine") + ": no unused sequence left\nknock: hint: write new sequences into the file, here and at the server\n",
	} {
		got := ssh("-l", "ann", host, "true")
		if got.code != 255 || got.stderr != want || got.stdout != "" {
			t.Errorf("%s: %+v\nwant %s", host, got, want)
		}
	}
	if got := ssh("x"); got.code != 255 || !strings.HasPrefix(got.stderr, "knock: look up nosuchname.invalid: ") || strings.Count(got.stderr, "\n") != 2 {
		t.Errorf("unknown name: %+v", got)
	}
	if got := ssh("-Z", "door"); got.code != 255 || !strings.Contains(got.stderr, "usage: ssh") {
		t.Errorf("-Z: %+v", got)
	}
}

// TestKnockSSHWithKeys runs ssh by way of knock ssh through doors with keys, of
// Debian's fwknopd and of our knockd.
func TestKnockSSHWithKeys(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, srv *nettest.Host){
		"fwknopd": func(t *testing.T, srv *nettest.Host) {
			shutPort(t, srv, "drop")
			fwknopd(t, srv, udpServer, "SOURCE ANY\nREQUIRE_SOURCE_ADDRESS Y\n"+testKeys+cycle)
		},
		"ours": func(t *testing.T, srv *nettest.Host) {
			dir := home(t, map[string]string{"keys": testKeys})
			ours, ok := daemons(t)["ours"]
			if !ok {
				nettest.Missing(t, "needs the sources of knockd")
			}
			ours.start(t, srv, "eth0", "[options]\nlogfile = %[1]s/log\nStateDir = %[1]s/state\n[ssh]\nspa_key_file = "+dir+
				"/keys\nopen = tcp/22\nrequire_source = yes\ncmd_timeout = 5\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cli, srv := nettest.Pair(t)
			l := newLogin(t, cli, srv)
			start(t, srv)
			l.write(".config/knock/config", "[door]\nhost = 10.7.0.2\nspa_key_file = keys\nspa_access = tcp/22\n")
			l.write(".config/knock/keys", testKeys)
			l.sshConfig("")
			if cli.Reaches("10.7.0.2:22", 300*time.Millisecond) {
				t.Fatal("open before")
			}
			if got := l.run(self(t), "ssh", "-F", l.path("ssh_config"), "door", "echo in; exit 7"); got.code != 7 || got.stdout != "in\n" || strings.Contains(got.stderr, "knock:") {
				t.Errorf("%+v", got)
			}
			if n := strings.Count(l.log(), "Connection from"); n != 1 {
				t.Errorf("sshd saw %d connections", n)
			}
		})
	}
}
