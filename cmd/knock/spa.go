package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/fwknop"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

const spaUsage = `usage: knock spa [options] [HOST]
Ask for a door with one encrypted packet, as fwknop does. The keys come from
the profile of HOST, from --key-file, or from ~/.fwknoprc: its stanza HOST, or
the one with SPA_SERVER HOST, over [default].

  -A, --access LIST      ask for these ports: tcp/22,udp/53
  -a, --allow-ip ADDR    open for this address (default: this machine's, or
                         where a router seems to replace it, the sender's)
  -s, --source-ip        open for the address that the packet comes from
  -R, --resolve          open for the address that a web site sees: that site
                         learns it, and when you knock
      --resolve-url URL  the site: an https page that answers with the address
      --stun HOST        ask this STUN server in place of a web site
  -f, --fw-timeout T     ask for T seconds, or 5min
  -p, --server-port N    send to this port (default 62201)
  -P, --server-proto P   udp, tcp, http, tcpraw (a SYN that carries the packet)
                         or icmp (an echo reply that does)
  -S, --source-port N    send from this port
  -r, --rand-port        send to a random port
  -N, --nat-access H:P   ask for a port that leads to host H, port P
      --nat-local        ask for a port that leads to the server's own
      --nat-port N       the outer port; or --nat-rand-port
      --user NAME        the user name in the packet
      --digest TYPE      the message's own digest (default sha256)
      --time-offset T    add T seconds to the clock, or -5min
      --key-file FILE    take the keys from here, as knock keygen writes them
      --key-client NAME  the section in that file
  -n, --named NAME       use this stanza of ~/.fwknoprc
      --rc-file FILE     read this in place of ~/.fwknoprc
      --ipv6-extension   IPv6, which servers of fwknop do not know
The options of knock -h hold too, --wait above all.
`

// spaOptions is what the command line of knock spa says.
type spaOptions struct {
	spa.Profile
	source    bool
	keyFile   string
	keyClient string
	stanza    string
	rcFile    string
	ipv6      bool
	resolve   bool
	stun      string
}

// register makes the options known.
func (s *spaOptions) register(o *options) {
	fs := o.set
	fs.VarP(parsed(&s.Access, spa.ParseAccess), "access", "A", "")
	fs.VarP(parsed(&s.Allow, spa.ParseAllow), "allow-ip", "a", "")
	fs.BoolVarP(&s.source, "source-ip", "s", false, "")
	fs.VarP(parsed(&s.Timeout, client.ParseOpenTime), "fw-timeout", "f", "")
	fs.VarP(parsed(&s.Port, spa.ParsePort), "server-port", "p", "")
	fs.VarP(parsed(&s.Proto, spa.ParseProto), "server-proto", "P", "")
	fs.VarP(parsed(&s.SourcePort, spa.ParsePort), "source-port", "S", "")
	fs.BoolVarP(&s.RandomPort, "rand-port", "r", false, "")
	fs.StringVarP(&s.NATAccess, "nat-access", "N", "", "")
	fs.BoolVar(&s.NATLocal, "nat-local", false, "")
	fs.Var(parsed(&s.NATPort, spa.ParsePort), "nat-port", "")
	fs.BoolVar(&s.NATRandom, "nat-rand-port", false, "")
	fs.StringVar(&s.User, "user", "", "")
	fs.Var(parsed(&s.Digest, parseHash), "digest", "")
	fs.Var(parsed(&s.TimeOffset, client.ParseOffset), "time-offset", "")
	fs.StringVar(&s.keyFile, "key-file", "", "")
	fs.StringVar(&s.keyClient, "key-client", "", "")
	fs.StringVarP(&s.stanza, "named", "n", "", "")
	fs.StringVar(&s.rcFile, "rc-file", "", "")
	fs.BoolVar(&s.ipv6, "ipv6-extension", false, "")
	fs.BoolVarP(&s.resolve, "resolve", "R", false, "")
	fs.Var(parsed(&s.ResolveURL, client.ParseResolveURL), "resolve-url", "")
	fs.StringVar(&s.stun, "stun", "", "")
}

func parseHash(name string) (spa.Hash, error) {
	h, ok := spa.ParseHash(name)
	if !ok {
		return 0, errors.New("must be one of " + spa.HashNames)
	}
	return h, nil
}

// runSPA asks with a packet, and waits if asked to.
func runSPA(ctx context.Context, c *call) int {
	c.spa = &spaOptions{}
	c.spa.register(c.options)
	if status, done := c.parse(spaUsage); done {
		return status
	}
	r := newReport(c.options, c.sys, c.sys.stdout)
	switch {
	case len(c.args) > 1:
		return r.finish(cli.Usagef("write: knock spa [options] HOST; what to ask for goes behind -A", "spa takes one host"))
	case len(c.args) == 0 && c.profile == "" && c.spa.stanza == "":
		c.sys.print(spaUsage)
		return exitUsage
	}
	host := ""
	if len(c.args) == 1 {
		host = c.args[0]
	}
	return r.finish(c.knock(ctx, c.sys, r, host, nil))
}

// authorization returns what to ask for by a packet, or nil if the door takes a
// sequence.
func (o *options) authorization(sys system, r *report, p *plan, prof profile.Profile, host string) (*spa.Profile, error) {
	s := o.spa
	if s == nil {
		s = &spaOptions{}
	}
	a, err := o.spaProfile(sys, r, s, p, prof, host)
	if err != nil || a == nil && o.spa == nil {
		return nil, err
	}
	if a == nil {
		if err := client.CheckHost(p.host); err != nil {
			return nil, err
		}
		return nil, cli.Usagef("write a section ["+p.host+"] with spa_key_file into "+o.profileFile(sys)+", name --key-file, or copy a stanza of .fwknoprc", "no keys for %s", p.host)
	}
	o.override(a, s)
	if err := plainSender(r, a); err != nil {
		return nil, err
	}
	p.spaIPv6 = s.ipv6
	p.outside = client.Outside{URL: a.ResolveURL, STUN: s.stun}
	if a.User == "" {
		a.User = userName(sys)
	}
	if len(a.Access) == 0 {
		return nil, cli.Usagef("name the ports: -A tcp/22, spa_access in the profile, or ACCESS in .fwknoprc", "nothing to ask for")
	}
	if err := a.Client.Check(); err != nil {
		return nil, cli.Usage(err, "correct the keys; knock keygen makes new ones")
	}
	if p.host == "" {
		return nil, cli.Usagef("name a host, or write SPA_SERVER into the stanza", "no host to send to")
	}
	a.Server = p.host
	return a, nil
}

// plainSender settles what fwknop makes by hand: nobody's address is forged, and
// without that udpraw is udp.
func plainSender(r *report, a *spa.Profile) error {
	byHand := a.Proto == "udpraw" || a.Proto == "tcpraw" || a.Proto == "icmp"
	switch {
	case byHand && a.Forged != "":
		return cli.Usagef("take SPOOF_SOURCE_IP out of .fwknoprc; -a names the address to open for, whoever sends the packet",
			"SPOOF_SOURCE_IP %s: no packet is sent in another's name", a.Forged)
	case a.Proto == "udpraw":
		a.Proto = "udp"
		r.warn("udpraw: without a forged address that is udp, and is sent as udp", "write SPA_SERVER_PROTO udp, or say -P udp")
	}
	return nil
}

// spaProfile finds the keys and what goes with them, or nothing.
func (o *options) spaProfile(sys system, r *report, s *spaOptions, p *plan, prof profile.Profile, host string) (*spa.Profile, error) {
	if s.keyFile != "" {
		prof.SPAKeyFile, prof.SPAClient = s.keyFile, s.keyClient
	}
	if prof.SPAKeyFile != "" && s.stanza == "" {
		a := prof.SPA
		client, err := readClient(r, prof.SPAKeyFile, prof.SPAClient)
		a.Client = client
		return &a, err
	}
	if len(prof.Sequence) > 0 || prof.SequenceFile != "" || prof.OneTimeFile != "" {
		if o.spa == nil {
			return nil, nil
		}
	}
	return o.rcProfile(sys, r, s, p, host)
}

// readClient reads a key file and takes one of its clients.
func readClient(r *report, file, name string) (spa.Client, error) {
	r.exposed(file)
	src, err := os.ReadFile(file)
	if err != nil {
		return spa.Client{}, cli.Usage(fmt.Errorf("key file: %w", err), "")
	}
	clients, err := spa.ParseKeys(file, src, 0)
	if err != nil {
		return spa.Client{}, cli.Usage(err, "correct the file; knock keygen writes such files")
	}
	for _, c := range clients {
		if c.Name == name || name == "" && len(clients) == 1 {
			return c, nil
		}
	}
	if name == "" {
		return spa.Client{}, cli.Usagef("choose one with --key-client or spa_client", "%s has the keys of several clients", file)
	}
	return spa.Client{}, cli.Usagef("write its section, or name another", "%s has no client %s", file, name)
}

// rcProfile reads what .fwknoprc says: nothing if there is no such file or none
// of its stanzas is about the host.
func (o *options) rcProfile(sys system, r *report, s *spaOptions, p *plan, host string) (*spa.Profile, error) {
	file := s.rcFile
	if file == "" {
		if file = sys.getenv("HOME"); file == "" {
			return nil, nil
		}
		file = filepath.Join(file, ".fwknoprc")
	}
	src, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && s.rcFile == "" && s.stanza == "" {
		return nil, nil
	}
	if err != nil {
		return nil, cli.Usage(err, "")
	}
	rc, err := fwknop.ParseRC(file, src)
	if err != nil {
		return nil, cli.Usage(err, "correct the file")
	}
	stanza, ok := chooseStanza(rc, s.stanza, host)
	if !ok && o.spa == nil {
		return nil, nil
	}
	r.exposed(file)
	a, err := rc.Profile(stanza)
	if err != nil {
		return nil, cli.Usage(err, "correct the file, or name a stanza with -n")
	}
	if a.Server != "" && (host == "" || strings.EqualFold(stanza, host)) {
		p.host, p.section = a.Server, "" // the host named is the stanza's name
	}
	if err := addKeyFiles(&a, p.host); err != nil {
		return nil, err
	}
	if stanza == "" && len(a.Client.Key) == 0 {
		return nil, nil
	}
	return &a, nil
}

// chooseStanza returns the stanza that is named or about the host; else, with
// ok false, the default.
func chooseStanza(rc *fwknop.RC, named, host string) (stanza string, ok bool) {
	if named != "" {
		return named, true
	}
	for _, name := range rc.Stanzas() {
		if strings.EqualFold(name, host) && host != "" {
			return name, true
		}
	}
	for _, name := range rc.Stanzas() {
		if a, err := rc.Profile(name); err == nil && strings.EqualFold(a.Server, host) && host != "" {
			return name, true
		}
	}
	return "", false
}

// addKeyFiles takes keys from the files that KEY_FILE and HMAC_KEY_FILE name.
func addKeyFiles(a *spa.Profile, host string) error {
	if a.Server == "" {
		a.Server = host
	}
	for _, f := range []struct {
		file string
		key  *[]byte
	}{{a.KeyFile, &a.Client.Key}, {a.HMACKeyFile, &a.Client.HMACKey}} {
		if f.file == "" || len(*f.key) > 0 {
			continue
		}
		src, err := os.ReadFile(f.file)
		if err != nil {
			return cli.Usage(fmt.Errorf("key file: %w", err), "")
		}
		if *f.key, err = fwknop.KeyFromFile(src, a.Server); err != nil {
			return cli.Usage(fmt.Errorf("key file %s %w", f.file, err), "its lines are HOST: KEY")
		}
	}
	return nil
}

// override lets the command line win.
func (o *options) override(a *spa.Profile, s *spaOptions) {
	if s.source {
		s.Allow = "source"
	}
	if s.resolve || s.stun != "" || s.ResolveURL != "" {
		s.Allow = "resolve"
	}
	set(&a.ResolveURL, s.ResolveURL, s.ResolveURL != "")
	set(&a.Access, s.Access, len(s.Access) > 0)
	set(&a.Allow, s.Allow, s.Allow != "")
	set(&a.Timeout, s.Timeout, o.given("fw-timeout"))
	set(&a.Port, s.Port, s.Port != 0)
	set(&a.RandomPort, false, s.Port != 0)
	set(&a.RandomPort, true, s.RandomPort)
	set(&a.Proto, s.Proto, s.Proto != "")
	set(&a.SourcePort, s.SourcePort, s.SourcePort != 0)
	set(&a.NATAccess, s.NATAccess, s.NATAccess != "")
	set(&a.NATLocal, true, s.NATLocal)
	set(&a.NATPort, s.NATPort, s.NATPort != 0)
	set(&a.NATRandom, true, s.NATRandom)
	set(&a.User, s.User, s.User != "")
	set(&a.Digest, s.Digest, s.Digest != 0)
	set(&a.TimeOffset, s.TimeOffset, o.given("time-offset"))
}

func set[T any](to *T, v T, given bool) {
	if given {
		*to = v
	}
}

// userName is the name in the packet: the first of fwknop's sources that a
// server would take.
func userName(sys system) string {
	login := ""
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	for _, name := range []string{sys.getenv("SPOOF_USER"), sys.getenv("LOGNAME"), login, sys.getenv("USER")} {
		if name != "" && spa.ValidUser(name) {
			return name
		}
	}
	return "" // the packet then says NO_USER
}

// rehearseSPA says what would be sent.
func (p *plan) rehearseSPA(r *report) {
	var ports []string
	for _, port := range p.spa.Access {
		ports = append(ports, port.String())
	}
	text := "would ask for " + strings.Join(ports, ", ")
	if p.spa.Timeout > 0 {
		text += fmt.Sprintf(" for %d s", p.spa.Timeout/time.Second)
	}
	r.say("%s", text)
}
