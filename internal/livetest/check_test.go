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
	for _, port := range []int{22, 80, 7007} {
		err := server.Do(func() error {
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
		// Where this machine's sshd listens says nothing about the host.
		script := "if [ -d /etc/ssh ]; then mount -t tmpfs tmpfs /etc/ssh; fi; exec " + as + dir + "/knockctl check -c " + dir + "/knockd.conf " + strings.Join(args, " ")
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
