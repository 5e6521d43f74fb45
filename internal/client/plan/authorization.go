package plan

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"knockd/internal/client"
	"knockd/internal/fwknop"
	"knockd/internal/spa"
)

// authorization returns what to ask for by a packet, or nil if the door takes a
// sequence.
func (b *builder) authorization() (*spa.Profile, error) {
	p, s := b.plan, b.said.SPA
	if s == nil {
		s = &SPA{}
	}
	a, err := b.spaProfile(s)
	if err != nil || a == nil && b.said.SPA == nil {
		return nil, err
	}
	if a == nil {
		if err := client.CheckHost(p.Host); err != nil {
			return nil, err
		}
		return nil, mistakef("write a section ["+p.Host+"] with spa_key_file into "+b.said.ConfigName()+", name --key-file, or copy a stanza of .fwknoprc", "no keys for %s", p.Host)
	}
	s.override(a)
	if err := b.plainSender(a); err != nil {
		return nil, err
	}
	p.SPAIPv6 = s.IPv6
	p.addressService = client.AddressService{URL: a.ResolveURL, STUN: s.STUN}
	if a.User == "" {
		a.User = b.said.userName()
	}
	if len(a.Access) == 0 {
		return nil, mistakef("name the ports: -A tcp/22, spa_access in the profile, or ACCESS in .fwknoprc", "nothing to ask for")
	}
	if err := a.Client.Check(); err != nil {
		return nil, mistake(err, "correct the keys; knock keygen makes new ones")
	}
	if p.Host == "" {
		return nil, mistakef("name a host, or write SPA_SERVER into the stanza", "no host to send to")
	}
	a.Server = p.Host
	return a, nil
}

// plainSender refuses a forged sender, and has udpraw, which is the same as udp
// without one, sent as udp.
func (b *builder) plainSender(a *spa.Profile) error {
	byHand := a.Proto == "udpraw" || a.Proto == "tcpraw" || a.Proto == "icmp"
	switch {
	case byHand && a.Forged != "":
		return mistakef("take SPOOF_SOURCE_IP out of .fwknoprc; -a names the address to open for, whoever sends the packet",
			"SPOOF_SOURCE_IP %s: no packet is sent in another's name", a.Forged)
	case a.Proto == "udpraw":
		a.Proto = "udp"
		b.Warn("udpraw: without a forged address that is udp, and is sent as udp", "write SPA_SERVER_PROTO udp, or say -P udp")
	}
	return nil
}

// spaProfile finds the keys and what goes with them, or nothing.
func (b *builder) spaProfile(s *SPA) (*spa.Profile, error) {
	prof := b.prof
	if s.Keys != "" {
		prof.SPAKeyFile, prof.SPAClient = s.Keys, s.KeyClient
	}
	if prof.SPAKeyFile != "" && s.Stanza == "" {
		a := prof.SPA
		var err error
		a.Client, err = readClient(b, prof.SPAKeyFile, prof.SPAClient)
		return &a, err
	}
	knocks := len(prof.Sequence) > 0 || prof.SequenceFile != "" || prof.OneTimeFile != ""
	if knocks && b.said.SPA == nil {
		return nil, nil
	}
	return b.rcProfile(s)
}

// readClient reads a key file and takes one of its clients.
func readClient(r Reporter, file, name string) (spa.Client, error) {
	warnExposed(r, file)
	src, err := os.ReadFile(file)
	if err != nil {
		return spa.Client{}, mistakef("", "key file: %w", err)
	}
	clients, err := spa.ParseKeys(file, src, 0)
	if err != nil {
		return spa.Client{}, mistake(err, "correct the file; knock keygen writes such files")
	}
	for _, c := range clients {
		if c.Name == name || name == "" && len(clients) == 1 {
			return c, nil
		}
	}
	if name == "" {
		return spa.Client{}, mistakef("choose one with --key-client or spa_client", "%s has the keys of several clients", file)
	}
	return spa.Client{}, mistakef("write its section, or name another", "%s has no client %s", file, name)
}

// rcProfile reads what .fwknoprc says: nothing if there is no such file or none
// of its stanzas is about the host.
func (b *builder) rcProfile(s *SPA) (*spa.Profile, error) {
	p, host, file := b.plan, b.said.Host, s.RCFile
	if file == "" {
		if file = b.said.Getenv("HOME"); file == "" {
			return nil, nil
		}
		file = filepath.Join(file, ".fwknoprc")
	}
	src, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && s.RCFile == "" && s.Stanza == "" {
		return nil, nil
	}
	if err != nil {
		return nil, mistake(err, "")
	}
	rc, err := fwknop.ParseRC(file, src)
	if err != nil {
		return nil, mistake(err, "correct the file")
	}
	stanza, ok := chooseStanza(rc, s.Stanza, host)
	if !ok && b.said.SPA == nil {
		return nil, nil
	}
	warnExposed(b, file)
	a, err := rc.Profile(stanza)
	if err != nil {
		return nil, mistake(err, "correct the file, or name a stanza with -n")
	}
	if a.Server != "" && (host == "" || strings.EqualFold(stanza, host)) {
		p.Host, p.Section = a.Server, "" // the host named is the stanza's name
	}
	if err := addKeyFiles(&a, p.Host); err != nil {
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
			return mistakef("", "key file: %w", err)
		}
		if *f.key, err = fwknop.KeyFromFile(src, a.Server); err != nil {
			return mistakef("its lines are HOST: KEY", "key file %s %w", f.file, err)
		}
	}
	return nil
}

// override lets the command line win.
func (s *SPA) override(a *spa.Profile) {
	if s.FromSource {
		s.Allow = "source"
	}
	if s.Resolve || s.STUN != "" || s.ResolveURL != "" {
		s.Allow = "resolve"
	}
	if len(s.Access) > 0 {
		a.Access = s.Access
	}
	a.ResolveURL = cmp.Or(s.ResolveURL, a.ResolveURL)
	a.Allow = cmp.Or(s.Allow, a.Allow)
	a.Timeout = pick(a.Timeout, s.OpenTime)
	a.RandomPort = s.RandomPort || a.RandomPort && s.Port == 0
	a.Port = cmp.Or(s.Port, a.Port)
	a.Proto = cmp.Or(s.Proto, a.Proto)
	a.SourcePort = cmp.Or(s.SourcePort, a.SourcePort)
	a.NATAccess = cmp.Or(s.NATAccess, a.NATAccess)
	a.NATLocal = s.NATLocal || a.NATLocal
	a.NATPort = cmp.Or(s.NATPort, a.NATPort)
	a.NATRandom = s.NATRandom || a.NATRandom
	a.User = cmp.Or(s.User, a.User)
	a.Digest = cmp.Or(s.Digest, a.Digest)
	a.TimeOffset = pick(a.TimeOffset, s.Offset)
}

// userName returns the name in the packet: the first of fwknop's sources that a
// server would take.
func (q *Request) userName() string {
	login := ""
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	for _, name := range []string{q.Getenv("SPOOF_USER"), q.Getenv("LOGNAME"), login, q.Getenv("USER")} {
		if name != "" && spa.ValidUser(name) {
			return name
		}
	}
	return "" // the packet then says NO_USER
}
