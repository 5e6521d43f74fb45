package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/client/plan"
	"knockd/internal/onetime"
)

// exit says what went wrong, if anything, and returns the exit status.
func (s system) exit(err error) int {
	if err == nil {
		return exitOpen
	}
	text, hint, code := explain(err)
	s.speaker().Say(text, hint)
	return code
}

func (s system) speaker() cli.Speaker { return cli.Speaker{Command: "knock", W: s.stderr} }

// explain turns an error into what is wrong, what to do, and the exit status.
func explain(err error) (text, hint string, code int) {
	text, hint, code = explainKind(err)
	if better := cli.HintOf(err); better != "" {
		hint = better
	}
	return text, hint, code
}

// explainKind is explain for what an error is in itself.
func explainKind(err error) (text, hint string, code int) {
	var host *client.HostError
	var family *client.FamilyError
	var source *client.SourceError
	var dns *net.DNSError
	var shut *client.ClosedError
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted", "", exitNetwork
	case cli.IsUsage(err), errors.As(err, new(*plan.MistakeError)):
		return err.Error(), "", exitUsage
	case errors.As(err, &host):
		return err.Error(), hostHint(host), exitUsage
	case errors.As(err, &family):
		return err.Error(), "leave out -4 and -6, or name another address", exitNetwork
	case errors.As(err, &source):
		return source.Error(), "choose the family with -4 or -6, or give a source address of the other one", exitUsage
	case errors.As(err, &dns):
		return explainName(dns)
	case errors.As(err, &shut):
		return err.Error(), shutHint(shut), exitShut
	case errors.Is(err, onetime.ErrExhausted):
		return err.Error(), "write new sequences into the file, here and at the server", exitUsage
	case errors.As(err, new(*fs.PathError)), errors.Is(err, fs.ErrNotExist):
		return err.Error(), "", exitUsage
	}
	return err.Error(), networkHint(err), exitNetwork
}

// hostHint says how to write what stood in the place of a host.
func hostHint(e *client.HostError) string {
	if e.Host == "" {
		return "name the host, then the ports: knock HOST 7000 8000 9000"
	}
	hint := "knock at " + e.Host
	if e.Port != "" {
		hint += "; to wait for its port add -w tcp/" + e.Port
	}
	if e.User != "" {
		hint += "; a user's name is for ssh: knock ssh " + e.User + "@" + e.Host
	}
	return hint
}

// explainName is explain for a name that could not be looked up.
func explainName(err *net.DNSError) (text, hint string, code int) {
	if err.IsNotFound {
		return "unknown host " + err.Name, "check the spelling, or knock at the address in numbers", exitNetwork
	}
	return fmt.Sprintf("look up %s: %s", err.Name, err.Err),
		"the name server does not answer: check the network, or knock at the address in numbers", exitNetwork
}

// shutHint says what may be wrong with a door that stayed shut.
func shutHint(err *client.ClosedError) string {
	switch err.Answer {
	case client.Refused:
		return "the host answers: check the sequence and that the service runs; a slower pace (-d 500) may help"
	case client.Unreachable:
		return "a router or firewall turns the packets back: check the address and the network"
	}
	return "check the sequence and the address; a slower pace (-d 500) or a longer --timeout may help"
}

// networkHint says what to do about a packet that could not be sent.
func networkHint(err error) string {
	var raw *client.RawError
	var hit *client.HitError
	errors.As(err, &hit)
	switch {
	case errors.Is(err, client.ErrSPAIPv6):
		return spaFamilyHint
	case errors.As(err, new(*client.AddressError)):
		return "name the address with -a, let the server see it with -s, or ask another with --resolve-url or --stun"
	case errors.As(err, new(*client.SPAProtoError)):
		return "use udp, tcp, http, tcpraw, or over IPv4 icmp"
	case client.IsUnreachable(err) && hit != nil && hit.Host.Is6():
		return "this machine has no way to IPv6 addresses, or not to this one: try -4"
	case client.IsUnreachable(err):
		return "this machine has no way to that address: check the network, the route, and --source"
	case errors.As(err, &raw) && errors.Is(err, os.ErrPermission):
		return "that needs raw sockets: run as root, or: setcap cap_net_raw+ep $(command -v knock)"
	case errors.Is(err, os.ErrPermission):
		return "a firewall on this machine refuses the packet"
	case errors.Is(err, errors.ErrUnsupported):
		return "leave out --interface on this system; --source may do"
	}
	return ""
}

// print writes to standard output.
func (s system) print(text string) { io.WriteString(s.stdout, text) }
