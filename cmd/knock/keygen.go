package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/fwknop"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

const keygenUsage = `usage: knock keygen [options]
Make fresh keys for one client of one server and print what belongs where: the
door and its key file for knockd, the profile for knock, the stanza for fwknop's
.fwknoprc, and on a terminal the QR code that the app Fwknop2 reads. Without
--write nothing is written to disk. Make keys of their own for each server: a
packet for one could be shown to another that has the same keys.

  --write          write key file and profile here, and print nothing but what
                   to paste into a shell of root at the server
  --phone          make keys for a phone: print that for its door, and the QR
                   code
  --profile NAME   the name of door, profile and stanza (default: the server's)
  --server HOST    the server's name or address
  --client NAME    the client's name in the server's log (default: client)
  -A, --access L   the ports of the door (default tcp/22)
  --hmac TYPE      the HMAC's type (default sha256; the QR code knows no other)
  --qr             print the QR code also where there is no terminal
  --config FILE    with --write: the configuration (default ~/.config/knock/config)
`

// simpleName is a name that may stand in sections, file names and words of a
// shell.
var simpleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// keyPair is what keygen was asked for.
type keyPair struct {
	name, server, client string
	access               []knock.Step
	hmac                 spa.Hash
	qr, write, phone     bool
}

// register makes the options known.
func (k *keyPair) register(o *options) {
	fs := o.set
	fs.BoolVar(&k.write, "write", false, "")
	fs.BoolVar(&k.phone, "phone", false, "")
	fs.StringVar(&k.server, "server", "", "")
	fs.StringVar(&k.client, "client", "client", "")
	fs.VarP(parsed(&k.access, spa.ParseAccess), "access", "A", "")
	fs.Var(parsed(&k.hmac, parseHash), "hmac", "")
	fs.BoolVar(&k.qr, "qr", false, "")
}

// runKeygen makes fresh keys and says what to do with them.
func runKeygen(_ context.Context, c *call) int {
	k := keyPair{hmac: spa.SHA256}
	k.access, _ = spa.ParsePorts("tcp/22")
	k.register(c.options)
	if status, done := c.parse(keygenUsage); done {
		return status
	}
	if err := k.check(c); err != nil {
		return c.sys.exit(err)
	}
	client := spa.NewClient(k.client, k.hmac)
	file, _ := c.sys.stdout.(*os.File)
	switch {
	case k.write:
		if err := k.writeFiles(c, client); err != nil {
			return c.sys.exit(err)
		}
		c.sys.print(k.serverBlock(client))
	case k.phone:
		c.sys.print(k.serverBlock(client))
	default:
		c.sys.print(k.text(client))
		k.qr = k.qr || file != nil && term.IsTerminal(int(file.Fd()))
	}
	if k.qr || k.phone {
		return c.sys.exit(k.printQR(c.sys.stdout, client))
	}
	return exitOpen
}

// check fills in the names and looks at them.
func (k *keyPair) check(c *call) error {
	if len(c.args) > 0 {
		return cli.Usagef("write: knock keygen --server HOST", "keygen takes no words but options")
	}
	if k.name = c.Profile; k.name == "" {
		k.name = k.defaultName()
	}
	if k.phone && !c.set.Changed("client") {
		k.client = "phone"
	}
	switch {
	case !simpleName.MatchString(k.name):
		return cli.Usagef("choose another --profile", "the name must be of letters, digits, and ._-")
	case strings.EqualFold(k.name, "options"), strings.EqualFold(k.name, fwknop.DefaultStanza):
		return cli.Usagef("choose another --profile", "a section [%s] is not about one door", k.name)
	case !simpleName.MatchString(k.client):
		return cli.Usagef("choose another --client", "the client's name must be of letters, digits, and ._-")
	case k.phone && k.write:
		return cli.Usagef("choose one: with --phone the keys go to the phone by the QR code", "--write and --phone exclude each other")
	case (k.phone || k.write && k.qr) && k.hmac != spa.SHA256:
		return cli.Usagef("leave out --hmac", "the QR code knows no HMAC but sha256")
	case k.write && k.server == "":
		return cli.Usagef("name the server: knock keygen --write --server HOST", "--write needs to know where the profile leads")
	case k.server == "":
		k.server = "SERVER"
	}
	return client.CheckHost(k.server)
}

// defaultName returns the server's name, if that may stand everywhere. A phone has a
// door of its own beside it.
func (k *keyPair) defaultName() string {
	name := "door"
	if simpleName.MatchString(k.server) {
		name = k.server
	}
	if k.phone {
		name += "-phone"
	}
	return name
}

// ports returns the list of the door's ports.
func (k *keyPair) ports(separator string) string {
	return knock.PortNames(knock.PortsOf(k.access), separator)
}

// text returns all that is printed where nothing is written, but the QR code.
func (k *keyPair) text(c spa.Client) string {
	keys := c.KeyLines()
	var b strings.Builder
	fmt.Fprintf(&b, "# At the server: /etc/knockd/%s.keys, mode 0600\n[%s]\n%s\n", k.name, k.client, keys)
	fmt.Fprintf(&b, "# At the server: /etc/knockd.conf, or a file below /etc/knockd.conf.d with new = yes\n%s\n", k.door())
	fmt.Fprintf(&b, "# Here: ~/.config/knock/%s.keys, mode 0600\n%s\n", k.name, keys)
	fmt.Fprintf(&b, "# Here: ~/.config/knock/config\n%s\n", k.profile())
	fmt.Fprintf(&b, "# Or here, for fwknop too: ~/.fwknoprc, mode 0600\n[%s]\nSPA_SERVER %s\nACCESS %s\nUSE_HMAC Y\n%s",
		k.name, k.server, k.ports(","), strings.ReplaceAll(keys, ": ", " "))
	return b.String()
}

// door returns the section for knockd. A phone does not name its address.
func (k *keyPair) door() string {
	source := "yes"
	if k.phone {
		source = "no"
	}
	return fmt.Sprintf("[%s]\nspa_key_file = /etc/knockd/%s.keys\nopen = %s\nrequire_source = %s\n", k.name, k.name, k.ports(", "), source)
}

// profile returns the section for knock. It waits for the first TCP port.
func (k *keyPair) profile() string {
	text := fmt.Sprintf("[%s]\nhost = %s\nspa_key_file = %s.keys\nspa_access = %s\n", k.name, k.server, k.name, k.ports(","))
	for _, p := range k.access {
		if p.Proto == knock.TCP {
			return text + "wait = " + p.Ports().String() + "\n"
		}
	}
	return text
}

func (k *keyPair) printQR(w io.Writer, c spa.Client) error {
	if k.hmac != spa.SHA256 {
		return nil
	}
	code, err := qrText(c.QRText())
	if err != nil {
		return fmt.Errorf("make the QR code: %w", err)
	}
	more := ""
	if !k.phone {
		more = " A phone does not name its address, so its door needs\n# require_source = no, as with --phone."
	}
	_, err = fmt.Fprintf(w, "\n# For the app Fwknop2.%s\n%s", more, code)
	return err
}
