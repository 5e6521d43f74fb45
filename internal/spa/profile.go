package spa

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Profile is how to ask a server, as a stanza of .fwknoprc says it. The zero value
// of a field says that nothing was set.
type Profile struct {
	Server     string // host name or address
	Port       uint16 // DefaultPort if 0
	RandomPort bool
	Proto      string // udp if empty, or tcp, http, udpraw, tcpraw, icmp
	SourcePort uint16
	Forged     string // the sender's address in packets made by hand: udpraw, tcpraw, icmp
	Access     []knock.Step
	Allow      string        // an IPv4 address, "source" or "resolve"
	Timeout    time.Duration // what to ask for, 0 for the server's own
	TimeOffset time.Duration // added to the clock
	Digest     Hash
	User       string
	NATAccess  string // HOST, HOST:PORT or HOST,PORT
	NATLocal   bool
	NATPort    uint16
	NATRandom  bool
	ResolveURL string // the page to ask for the outside address, "" for the usual one

	Client      Client // without a name; Key is empty if no key was named
	UseHMAC     bool
	KeyFile     string // lines HOST: KEY
	HMACKeyFile string
	Ignored     []string // variables that mean nothing here, as FILE:LINE: NAME
}

// ParseProto reads a transport's name, in any case.
func ParseProto(v string) (string, error) {
	switch v = strings.ToLower(v); v {
	case "udp", "tcp", "http", "udpraw", "tcpraw", "icmp":
		return v, nil
	}
	return "", errors.New("must be udp, tcp, http, udpraw, tcpraw or icmp")
}

// ParseAllow reads what Profile.Allow may be.
func ParseAllow(v string) (string, error) {
	switch word := strings.ToLower(v); word {
	case "source", "resolve":
		return word, nil
	}
	if a, err := netip.ParseAddr(v); err != nil || a.Zone() != "" {
		return "", errors.New("must be an address, source or resolve")
	}
	return v, nil
}

// ParseAccess is ParsePorts for people: blanks do not matter.
func ParseAccess(v string) ([]knock.Step, error) {
	return ParsePorts(strings.NewReplacer(" ", "", "\t", "").Replace(v))
}

// ParseTimeout reads the seconds a client asks for, 0 to 65536: what servers
// take.
func ParseTimeout(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxTimeout || !allDigits(s) {
		return 0, fmt.Errorf("must be a number of seconds from 0 to %d", maxTimeout)
	}
	return time.Duration(n) * time.Second, nil
}
