//go:build nohttps

package client

import (
	"context"
	"errors"
	"net/netip"
)

// Transport would carry requests for pages.
type Transport any

// errNoHTTPS says that this build cannot ask a page.
var errNoHTTPS = errors.New("this program was built without HTTPS")

func (AddressService) pageAddress(context.Context, string, bool) (netip.Addr, error) {
	return netip.Addr{}, errNoHTTPS
}
