package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"

	"knockd/internal/spa"
)

const keygenUsage = `usage: knock keygen [options]
Make fresh keys for one client of one server and print what belongs where: the
door and its key file for knockd, the profile for knock, the stanza for fwknop's
.fwknoprc, and on a terminal the QR code that the app Fwknop2 reads. Nothing is
written to disk. Make keys of their own for each server: a packet for one could
be shown to another that has the same keys.

  --profile NAME   the name of door, profile and stanza (default: the server's)
  --server HOST    the server's name or address
  --client NAME    the client's name in the server's log (default: client)
  -A, --access L   the ports of the door (default tcp/22)
  --hmac TYPE      the HMAC's type (default sha256; the QR code knows no other)
  --qr             print the QR code also where there is no terminal
`

// simpleName is a name that may stand in sections and file names.
var simpleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// keyPair is what keygen was asked for.
type keyPair struct {
	name, server, client string
	access               []spa.Port
	hmac                 spa.Hash
	qr                   bool
}

// runKeygen prints fresh keys and what to do with them.
func runKeygen(_ context.Context, c *call) int {
	k := keyPair{hmac: spa.SHA256}
	k.access, _ = spa.ParsePorts("tcp/22")
	c.set.StringVar(&k.server, "server", "", "")
	c.set.StringVar(&k.client, "client", "client", "")
	c.set.VarP(parsed(&k.access, spa.ParseAccess), "access", "A", "")
	c.set.Var(parsed(&k.hmac, parseHash), "hmac", "")
	c.set.BoolVar(&k.qr, "qr", false, "")
	if status, done := c.parse(keygenUsage); done {
		return status
	}
	if err := k.check(c); err != nil {
		return c.sys.exit(err)
	}
	client := spa.NewClient(k.client, k.hmac)
	c.sys.print(k.text(client))
	if file, ok := c.sys.stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) || k.qr {
		return c.sys.exit(k.printQR(c.sys.stdout, client))
	}
	return exitOpen
}

// check fills in the names and looks at them.
func (k *keyPair) check(c *call) error {
	k.name = c.profile
	switch {
	case len(c.args) > 0:
		return usagef("write: knock keygen --server HOST", "keygen takes no words but options")
	case k.name == "" && simpleName.MatchString(k.server):
		k.name = k.server
	case k.name == "":
		k.name = "door"
	case !simpleName.MatchString(k.name):
		return usagef("choose another --profile", "the name must be of letters, digits, and ._-")
	}
	if k.server == "" {
		k.server = "SERVER"
	}
	if !simpleName.MatchString(k.client) {
		return usagef("choose another --client", "the client's name must be of letters, digits, and ._-")
	}
	if strings.ContainsAny(k.server, " \t\r\n") {
		return usagef("name one host", "--server is not a host")
	}
	return nil
}

// text is all but the QR code.
func (k *keyPair) text(c spa.Client) string {
	var open []string
	for _, p := range k.access {
		open = append(open, p.String())
	}
	keys := c.KeyLines()
	var b strings.Builder
	fmt.Fprintf(&b, "# At the server: /etc/knockd/%s.keys, mode 0600\n[%s]\n%s\n", k.name, k.client, keys)
	fmt.Fprintf(&b, "# At the server: /etc/knockd.conf, or a file below /etc/knockd.conf.d with new = yes\n"+
		"[%s]\nspa_key_file = /etc/knockd/%s.keys\nopen = %s\nrequire_source = yes\n\n", k.name, k.name, strings.Join(open, ", "))
	fmt.Fprintf(&b, "# Here: ~/.config/knock/%s.keys, mode 0600\n%s\n", k.name, keys)
	fmt.Fprintf(&b, "# Here: ~/.config/knock/config\n[%s]\nhost = %s\nspa_key_file = %s.keys\nspa_access = %s\n%s\n",
		k.name, k.server, k.name, strings.Join(open, ","), waitLine(k.access))
	fmt.Fprintf(&b, "# Or here, for fwknop too: ~/.fwknoprc, mode 0600\n[%s]\nSPA_SERVER %s\nACCESS %s\nUSE_HMAC Y\n%s",
		k.name, k.server, strings.Join(open, ","), strings.ReplaceAll(keys, ": ", " "))
	return b.String()
}

// waitLine has a profile wait for the first TCP port.
func waitLine(ports []spa.Port) string {
	for _, p := range ports {
		if text := p.String(); strings.HasPrefix(text, "tcp/") {
			return "wait = " + text + "\n"
		}
	}
	return ""
}

func (k *keyPair) printQR(w io.Writer, c spa.Client) error {
	if k.hmac != spa.SHA256 {
		return nil
	}
	code, err := qrText(c.QRText())
	if err != nil {
		return fmt.Errorf("make the QR code: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n# For the app Fwknop2. A phone does not name its address, so its door needs\n# require_source = no.\n%s", code)
	return err
}
