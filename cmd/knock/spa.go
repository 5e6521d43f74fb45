package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/client/plan"
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

// registerSPA makes the options known.
func registerSPA(s *plan.SPA, fs *pflag.FlagSet) {
	fs.VarP(parsed(&s.Access, spa.ParseAccess), "access", "A", "")
	fs.VarP(parsed(&s.Allow, spa.ParseAllow), "allow-ip", "a", "")
	fs.BoolVarP(&s.FromSource, "source-ip", "s", false, "")
	fs.VarP(parsed(&s.OpenTime, said(client.ParseOpenTime)), "fw-timeout", "f", "")
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
	fs.Var(parsed(&s.Offset, said(client.ParseOffset)), "time-offset", "")
	fs.StringVar(&s.Keys, "key-file", "", "")
	fs.StringVar(&s.KeyClient, "key-client", "", "")
	fs.StringVarP(&s.Stanza, "named", "n", "", "")
	fs.StringVar(&s.RCFile, "rc-file", "", "")
	fs.BoolVar(&s.IPv6, "ipv6-extension", false, "")
	fs.BoolVarP(&s.Resolve, "resolve", "R", false, "")
	fs.Var(parsed(&s.ResolveURL, client.ParseResolveURL), "resolve-url", "")
	fs.StringVar(&s.STUN, "stun", "", "")
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
	c.SPA = &plan.SPA{}
	registerSPA(c.SPA, c.set)
	if status, done := c.parse(spaUsage); done {
		return status
	}
	r := newReport(c.options, c.sys, c.sys.stdout)
	switch {
	case len(c.args) > 1:
		return r.finish(cli.Usagef("write: knock spa [options] HOST; what to ask for goes behind -A", "spa takes one host"))
	case len(c.args) == 0 && c.Profile == "" && c.SPA.Stanza == "":
		c.sys.print(spaUsage)
		return exitUsage
	}
	if len(c.args) == 1 {
		c.Host = c.args[0]
	}
	return r.finish(c.knock(ctx, r))
}
