//go:build !nohttps

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
)

// Transport carries requests for pages.
type Transport = http.RoundTripper

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
