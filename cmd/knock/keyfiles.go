package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"knockd/internal/cli"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

// serverBlock returns what root pastes into a shell at the server. It overwrites
// nothing, and leaves nothing that knockd -t finds fault with. It has no
// comments, since not every shell takes them from a terminal.
func (k *keyPair) serverBlock(c spa.Client) string {
	keys, conf := "/etc/knockd/"+k.name+".keys", "/etc/knockd.conf.d/"+k.name+".conf"
	files := keys + " " + conf
	lines := []string{
		"(", "set -e", "umask 077",
		"for f in " + files + "; do",
		`  if [ -e "$f" ]; then echo "$f is there already" >&2; exit 1; fi`,
		"done",
		"trap 'rm -f " + files + "' EXIT",
		"mkdir -p /etc/knockd /etc/knockd.conf.d",
		"cat >" + keys + " <<'END'", "[" + k.client + "]", strings.TrimSpace(c.KeyLines()), "END",
		"cat >" + conf + " <<'END'", strings.Replace(strings.TrimSpace(k.door()), "\n", "\nnew = yes\n", 1), "END",
		"PATH=$PATH:/usr/local/sbin:/usr/sbin",
		"knockd -t",
		"trap - EXIT",
		"if [ -d /run/systemd/system ]; then systemctl reload-or-restart knockd",
		`else kill -HUP "$(cat /run/knockd.pid)"; fi`,
		")", "",
	}
	return strings.Join(lines, "\n")
}

// writeFiles writes the client's key file and adds the profile to the
// configuration. Nothing is overwritten; if not all can be written, nothing is.
func (k *keyPair) writeFiles(c *call, client spa.Client) (err error) {
	config := c.ConfigFile()
	if config == "" {
		return cli.Usagef("set HOME, or name a file with --config", "there is no place for the files")
	}
	text, err := os.ReadFile(config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	added, err := k.addition(c, config, text)
	if err != nil {
		return err
	}
	dir := filepath.Dir(config)
	keys := filepath.Join(dir, k.name+".keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeSecret(keys, os.O_EXCL, client.KeyLines()); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return cli.Usage(err, "nothing is overwritten: move it away, or choose another --profile")
		}
		os.Remove(keys)
		return err
	}
	if err := writeSecret(config, os.O_APPEND, added); err != nil {
		os.Remove(keys)
		os.Truncate(config, int64(len(text)))
		return err
	}
	c.sys.speaker().Say(fmt.Sprintf("wrote %s, and the section [%s] into %s", keys, k.name, config),
		fmt.Sprintf("paste the block into a shell of root at %s; then: knock %s", k.server, k.name))
	return nil
}

// addition returns what to add to the text of the configuration so that the
// profile counts.
func (k *keyPair) addition(c *call, config string, text []byte) (string, error) {
	before, err := c.LoadConfig()
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(before.Names(), func(name string) bool { return strings.EqualFold(name, k.name) }) {
		return "", cli.Usagef("choose another --profile, or take the section out", "%s has a section [%s]", config, k.name)
	}
	added := k.profile()
	if len(text) > 0 {
		added = "\n" + added
		if text[len(text)-1] != '\n' {
			added = "\n" + added
		}
	}
	after, err := profile.Parse(config, append(text, added...))
	if err != nil {
		return "", cli.Usage(err, "")
	}
	if p, _ := after.Find(k.name); p.SPAKeyFile != k.name+".keys" || p.Host != k.server {
		return "", cli.Usagef("run knock keygen without --write, and put the section for ~/.config/knock/config before the patterns",
			"%s has a pattern that fits %s and counts before a section below it", config, k.name)
	}
	return added, nil
}

// writeSecret writes a file, which if it is new nobody else can read.
func writeSecret(name string, flag int, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
