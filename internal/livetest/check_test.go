package livetest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// checkRules are those of a host that drops what it does not know.
const checkRules = `
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		tcp dport 80 accept
	}
}
`

const checkConf = `[options]
	Interface = eth0
	StateDir  = DIR/state

# A step on a service's port; the table inet filter drops what the guard lets in.
[ssh]
	sequence = 9007,7007,8008
	tcpflags = syn
	open     = tcp/22

# The rule comes behind one that drops, and tables beside iptables drop, too.
[web]
	sequence        = 5001,9005,3003
	tcpflags        = syn
	start_command   = DIR/bin/iptables -A INPUT -s %IP% -p tcp --dport 8080 -j ACCEPT
	stop_command    = DIR/bin/iptables -D INPUT -s %IP% -p tcp --dport 8080 -j ACCEPT
	start_command_6 = DIR/bin/ip6tables -I INPUT -s %IP% -p tcp --dport 8080 -j ACCEPT
	stop_command_6  = DIR/bin/ip6tables -D INPUT -s %IP% -p tcp --dport 8080 -j ACCEPT

# Nobody accepts the connections that its packets would come in.
[post]
	spa_key_file   = DIR/keys
	spa_transport  = tcp
	require_source = yes
	open           = tcp/25

[gone]
	sequence      = 5006,9007,3008
	tcpflags      = syn
	start_command = DIR/bin/gone %IP%
`

const checkKeys = "KEY_BASE64 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n" +
	"HMAC_KEY_BASE64 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\n"

// TestCheckHost: what knockctl check says on a host with services and a firewall,
// to root and to somebody who may read the configuration.
func TestCheckHost(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv", "unshare", "mount", "nft", "iptables-nft")
	t.Parallel()
	_, server := nettest.Pair(t)
	server.Load(checkRules)
	server.Run("iptables-nft", "-A", "INPUT", "-j", "DROP")
	listenAt(t, server, 22, 80, 7007)
	dir := nobodysDir(t)
	chown(t, dir, 0)
	copyProgram(t, program(t, "knockctl"), dir+"/knockctl")
	for name, text := range map[string]string{
		"knockd.conf": strings.ReplaceAll(checkConf, "DIR", dir), "keys": checkKeys, "bin/iptables": "#!/bin/sh\n", "bin/ip6tables": "#!/bin/sh\n",
	} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		nettest.Write(t, path, text)
		chown(t, path, 0)
		os.Chmod(path, 0o600)
		if strings.HasPrefix(name, "bin/") {
			os.Chmod(path, 0o755)
		}
	}
	check := func(as string, args ...string) string {
		t.Helper()
		script := hideSSH + as + dir + "/knockctl check -c " + dir + "/knockd.conf " + strings.Join(args, " ")
		status, stdout, stderr := outcome(t, server, "unshare", "--mount", "sh", "-c", script)
		return fmt.Sprintf("%s%sstatus %d\n", strings.ReplaceAll(stdout, dir, "DIR"), strings.ReplaceAll(stderr, dir, "DIR"), status)
	}
	got := "As root:\n" + check("") + "\nAs root, strictly:\n" + check("", "--strict")
	const nobody = "setpriv --reuid 1000 --regid 1000 --clear-groups "
	got += "\nAs somebody who may not read it:\n" + check(nobody)
	chown(t, dir+"/knockd.conf", 1000)
	got += "\nAs somebody who may:\n" + check(nobody)
	nettest.Golden(t, "testdata/check.txt", got)
}

// TestCheckSSH: whether sshd can be reached through a door alone.
func TestCheckSSH(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "unshare", "mount", "nft")
	t.Parallel()
	const (
		drop    = "table inet filter { chain input { type filter hook input priority filter; policy drop; iif \"lo\" accept; %s; }; }"
		command = "start_command = DIR/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\nstop_command = DIR/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n"
		only    = "opens tcp/22, on which sshd listens and which nothing else lets in"
	)
	for name, c := range map[string]struct {
		options, keys, rules string
		listening            bool
		only                 bool
	}{
		"guard":                 {keys: "open = tcp/22\n", listening: true, only: true},
		"guard with a rescue":   {options: "rescue = 192.0.2.7\n", keys: "open = tcp/22\n", listening: true},
		"guard of another port": {keys: "open = tcp/23\n", listening: true},
		"no sshd":               {keys: "open = tcp/22\n"},
		"command, all let in":   {keys: command, listening: true},
		"command, dropped":      {keys: command, rules: fmt.Sprintf(drop, ""), listening: true, only: true},
		"command, some let in":  {keys: command, rules: fmt.Sprintf(drop, "ip saddr 192.0.2.0/24 tcp dport 22 accept"), listening: true},
		"mark, all dropped":     {options: "nft_mode = mark\n", keys: "open = tcp/22\n", rules: fmt.Sprintf(drop, "meta mark & 0x100000 == 0x100000 accept"), listening: true, only: true},
		"mark, all let in":      {options: "nft_mode = mark\n", keys: "open = tcp/22\n", listening: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := nettest.Pair(t)
			if c.rules != "" {
				server.Load(c.rules)
			}
			if c.listening {
				listenAt(t, server, 22)
			}
			dir := t.TempDir()
			nettest.Write(t, dir+"/iptables", "#!/bin/sh\n")
			if err := os.Chmod(dir+"/iptables", 0o755); err != nil {
				t.Fatal(err)
			}
			conf := "[options]\nInterface = eth0\nStateDir = DIR/state\n" + c.options + "[ssh]\nsequence = 9007,7107,8008\ntcpflags = syn\n" + c.keys
			nettest.Write(t, dir+"/knockd.conf", strings.ReplaceAll(conf, "DIR", dir))
			status, stdout, stderr := outcome(t, server, "unshare", "--mount", "sh", "-c", hideSSH+program(t, "knockctl")+" check -c "+dir+"/knockd.conf")
			if status != 0 || stderr != "" || strings.Contains(stdout, only) != c.only {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
		})
	}
}

// hideSSH is shell text: where this machine's sshd listens says nothing about a
// host.
const hideSSH = "if [ -d /etc/ssh ]; then mount -t tmpfs tmpfs /etc/ssh; fi; exec "

// listenAt has a host listen on TCP ports until the test ends.
func listenAt(t *testing.T, h *nettest.Host, ports ...int) {
	t.Helper()
	for _, port := range ports {
		err := h.Do(func() error {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
