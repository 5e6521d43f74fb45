package main

import (
	"context"
	"io"
	"net"
	"os"

	"knockd/internal/cli"
	"knockd/internal/client"
)

const proxyUsage = `usage: knock proxy [options] [--profile NAME] [--fdpass] HOST PORT
Knock at HOST, wait until TCP port PORT is open, and carry standard input and
output over the connection that got through. For ssh_config(5):

  ProxyCommand knock proxy --profile %n %h %p

  --profile NAME   the section of the configuration to use (default: HOST)
  --fdpass         hand the connection over to ssh (ProxyUseFdpass yes)
The options of knock -h hold too.
`

// runProxy knocks, waits, and carries on the connection.
func runProxy(ctx context.Context, c *call) int {
	var fdpass bool
	c.set.BoolVar(&fdpass, "fdpass", false, "")
	if status, done := c.parse(proxyUsage); done {
		return status
	}
	// Standard output belongs to the connection.
	r := newReport(c.options, c.sys, c.sys.stderr)
	conn, err := c.proxyOpen(ctx, r)
	if err != nil || conn == nil {
		return r.finish(err)
	}
	defer conn.Close()
	if fdpass {
		return r.finish(passOn(c.sys, conn))
	}
	return r.finish(client.Relay(ctx, conn, c.sys.stdin, closer(c.sys.stdout)))
}

// proxyOpen returns the connection, or nil after a dry run.
func (c *call) proxyOpen(ctx context.Context, r *report) (net.Conn, error) {
	if len(c.args) != 2 {
		return nil, cli.Usagef("write: knock proxy [--profile NAME] HOST PORT", "proxy takes a host and a port")
	}
	c.Host = c.args[0]
	p, err := c.Make(r)
	if err != nil {
		return nil, err
	}
	if p.Wait, err = client.ParseWait(c.args[1]); err != nil {
		return nil, cli.Usage(err, "write: knock proxy [--profile NAME] HOST PORT")
	}
	hosts, err := resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	r.begin(p, hosts)
	if c.dryRun {
		return nil, printPlan(p, r, hosts)
	}
	return open(ctx, p, r, hosts)
}

// passOn hands the connection over to ssh.
func passOn(sys system, conn net.Conn) error {
	socket, ok := sys.stdout.(*os.File)
	if !ok {
		return cli.Usagef("--fdpass is for ssh with ProxyUseFdpass yes", "--fdpass: standard output is not a socket")
	}
	if err := client.PassFile(socket, conn); err != nil {
		return cli.Usage(err, "--fdpass is for ssh with ProxyUseFdpass yes")
	}
	return nil
}

// closer returns a writer with a Close, which for one that cannot be closed has
// no effect.
func closer(w io.Writer) io.WriteCloser {
	if c, ok := w.(io.WriteCloser); ok {
		return c
	}
	return nopCloser{w}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
