package nettest

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Iptables has a flavour of iptables, "-nft" or "-legacy", drop what comes in, but
// for loopback, what belongs to a connection, what IPv6 itself needs, and what
// matches.
func (h *Host) Iptables(flavour string, match ...string) {
	h.t.Helper()
	for _, tool := range []string{"iptables", "ip6tables"} {
		accept := func(match ...string) {
			h.t.Helper()
			if out, err := h.Try(tool+flavour, append(append([]string{"-A", "INPUT"}, match...), "-j", "ACCEPT")...); err != nil {
				LacksKernel(h.t, tool+flavour+": "+out)
			}
		}
		accept("-i", "lo")
		accept("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED")
		if tool == "ip6tables" {
			accept("-p", "ipv6-icmp")
		}
		accept(match...)
		h.Run(tool+flavour, "-P", "INPUT", "DROP")
	}
}

// UFW turns ufw on after some commands, with files of the host's own. It returns
// what runs a shell script with these files.
func (h *Host) UFW(commands string) (admin func(script string) error) {
	h.t.Helper()
	etc := filepath.Join(h.t.TempDir(), "ufw")
	if out, err := exec.Command("cp", "-a", "/etc/ufw", etc).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	admin = func(script string) error {
		return h.script("unshare", "--mount", "sh", "-ec", "mount --make-rprivate /; mount --bind "+etc+" /etc/ufw\n"+script)
	}
	if err := admin(commands + "\nufw --force enable"); err != nil {
		LacksKernel(h.t, "ufw here: "+err.Error())
	}
	return admin
}

// Firewalld starts firewalld with files and a message bus of the host's own. Its
// default zone lets in ssh. It returns what runs a shell script with both.
func (h *Host) Firewalld() (admin func(script string) error) {
	h.t.Helper()
	etc := filepath.Join(h.t.TempDir(), "firewalld")
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", "cp -a /etc/firewalld "+etc+`
mount --make-rprivate /
mount --bind `+etc+` /etc/firewalld
mount -t tmpfs none /run
mkdir /run/dbus
dbus-daemon --system --fork --nopidfile
exec firewalld --nofork --nopid`)
	if err := h.Start(cmd); err != nil {
		h.t.Fatal(err)
	}
	Eventually(h.t, "firewalld's rules", func() bool {
		rules, _ := h.Try("nft", "list", "chain", "inet", "firewalld", "filter_IN_public_allow")
		return strings.Contains(rules, "22")
	})
	return func(script string) error {
		return h.script("nsenter", "--target", strconv.Itoa(cmd.Process.Pid), "--mount", "sh", "-ec", script)
	}
}

// script runs a script, and logs what it prints if it fails.
func (h *Host) script(argv ...string) error {
	h.t.Helper()
	out, err := h.Try(argv[0], argv[1:]...)
	if err != nil {
		h.t.Logf("%s: %s", argv[len(argv)-1], out)
	}
	return err
}
