package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	Transport http.RoundTripper
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

// pageAddress asks a web page that answers with nothing but the address.
func (o AddressService) pageAddress(ctx context.Context, page string, v4 bool) (netip.Addr, error) {
	page, err := ParseResolveURL(page)
	if err != nil {
		return netip.Addr{}, err
	}
	c := http.Client{Transport: o.Transport, CheckRedirect: onlyHTTPS}
	if c.Transport == nil {
		c.Transport = overVersion(v4)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return netip.Addr{}, err
	}
	request.Header.Set("User-Agent", "knock")
	answer, err := c.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the rest says the URL again
		}
		return netip.Addr{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		// Not the server's own words, which go to a terminal.
		return netip.Addr{}, fmt.Errorf("status %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	const longest = 256
	body, err := io.ReadAll(io.LimitReader(answer.Body, longest))
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(strings.TrimSpace(string(body)))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("the answer is not an address alone")
	}
	return a.Unmap(), nil
}

func onlyHTTPS(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != "https" {
		return errors.New("leads away from https")
	}
	if len(via) >= 3 {
		return errors.New("leads on and on")
	}
	return nil
}

// overVersion asks over one IP version: the address seen is of that one.
func overVersion(v4 bool) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialName(ctx, "tcp", address, version(v4))
	}
	return t
}

func version(v4 bool) Family {
	if v4 {
		return IPv4
	}
	return IPv6
}
