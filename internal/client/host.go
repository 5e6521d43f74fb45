package client

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// HostError says that what stands in the place of a host is more than its name
// or address.
type HostError struct {
	Text string // as written
	Is   string // what it is
	Host string // the host in it, empty if that is unclear
	User string // whom it names, too
	Port string // which it names, too
}

// Error says so.
func (e *HostError) Error() string { return fmt.Sprintf("%q is %s, not a host alone", e.Text, e.Is) }

// CheckHost finds what other programs take for a host, and what no name server
// would know: USER@HOST, HOST:PORT, a URL, an address in brackets, a network.
func CheckHost(text string) error {
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	e := &HostError{Text: text, Host: text}
	if u, err := url.Parse(text); err == nil && u.Host != "" && u.Scheme != "" {
		e.Is, e.Host, e.User, e.Port = "a URL", u.Hostname(), u.User.Username(), u.Port()
		return e
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		e.Is, e.User, e.Host = "a user and a host", text[:i], text[i+1:]
	}
	if host, port, err := net.SplitHostPort(e.Host); err == nil {
		e.Is, e.Host, e.Port = "a host and a port", host, port
		if e.User != "" {
			e.Is = "a user, a host and a port"
		}
	}
	prefix, err := netip.ParsePrefix(text)
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	switch {
	case e.Is != "":
	case err == nil:
		e.Is, e.Host = "a network", prefix.Addr().String()
	case bare != text:
		e.Is, e.Host = "a host in brackets", bare
	case strings.Contains(text, "/"):
		e.Is, e.Host = "a path", ""
	case strings.ContainsAny(text, " \t\r\n"):
		e.Is, e.Host = "several words", ""
	default:
		return nil
	}
	return e
}
