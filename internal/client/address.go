package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// DefaultResolveURL is the page that fwknop asks for the outside address, too.
const DefaultResolveURL = "https://www.cipherdyne.org/cgi-bin/myip"

// AddressService says whom to ask for the address that this machine has behind
// routers. Whoever is asked learns that address, and when somebody knocks.
type AddressService struct {
	URL  string // a page of HTTPS that answers with the address
	STUN string // a server of STUN, HOST or HOST:PORT; it goes before URL
	// Transport carries the request for the page, nil for the usual one.
	Transport Transport
}

// AddressError says that the outside address was not learned.
type AddressError struct {
	Asked string
	Err   error
}

// Error says whom was asked.
func (e *AddressError) Error() string {
	return fmt.Sprintf("ask %s for the outside address: %v", e.Asked, e.Err)
}

// Unwrap returns the cause.
func (e *AddressError) Unwrap() error { return e.Err }

// How long each answer may take.
const addressPatience = 10 * time.Second

// Address asks once. With v4 the address is to be one of IPv4.
func (o AddressService) Address(ctx context.Context, v4 bool) (a netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, addressPatience)
	defer cancel()
	asked := o.STUN
	if o.STUN != "" {
		a, err = stunAddress(ctx, o.STUN, v4)
	} else {
		if asked = o.URL; asked == "" {
			asked = DefaultResolveURL
		}
		a, err = o.pageAddress(ctx, asked, v4)
	}
	if err == nil && (a.Is4() != v4 || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a == broadcast) {
		err = fmt.Errorf("the answer is %v, which cannot be opened", a)
	}
	if err != nil {
		return netip.Addr{}, &AddressError{asked, err}
	}
	return a, nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// ParseResolveURL checks the address of a page. Without a scheme, as in
// .fwknoprc, it is https; nothing else will do, since whoever is on the way
// could have the door opened for himself.
func ParseResolveURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", errors.New("must be an https:// URL")
	}
	return u.String(), nil
}

func version(v4 bool) Family {
	if v4 {
		return IPv4
	}
	return IPv6
}
