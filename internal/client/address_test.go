package client

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestOutsidePage: what pages answer, and what is made of it.
func TestOutsidePage(t *testing.T) {
	pages := map[string]string{
		"/plain": "192.0.2.7\n", "/mapped": "::ffff:192.0.2.7", "/six": "2001:db8::7", "/page": "<html>192.0.2.7</html>", "/none": "",
		"/loopback": "127.0.0.1", "/zone": "fe80::1%eth0", "/long": strings.Repeat(" ", 300) + "192.0.2.7",
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case r.URL.Path == "/on":
			http.Redirect(w, r, "/on", http.StatusFound)
		case pages[r.URL.Path] == "" && r.URL.Path != "/none":
			http.NotFound(w, r)
		default:
			w.Write([]byte(pages[r.URL.Path]))
		}
	}))
	defer server.Close()
	for page, want := range map[string]string{
		"/plain": "192.0.2.7", "/mapped": "192.0.2.7",
		"/six":      "the answer is 2001:db8::7, which cannot be opened",
		"/page":     "the answer is not an address alone",
		"/none":     "the answer is not an address alone",
		"/zone":     "the answer is not an address alone",
		"/long":     "the answer is not an address alone",
		"/loopback": "the answer is 127.0.0.1, which cannot be opened",
		"/missing":  "status 404 Not Found",
		"/away":     "leads away from https",
		"/on":       "leads on and on",
	} {
		a, err := AddressService{URL: server.URL + page, Transport: server.Client().Transport}.Address(t.Context(), true)
		got := a.String()
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "ask "+server.URL+page+" for the outside address: ")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
	if a, err := (AddressService{URL: server.URL + "/six", Transport: server.Client().Transport}).Address(t.Context(), false); err != nil || a.String() != "2001:db8::7" {
		t.Errorf("IPv6: %v, %v", a, err)
	}
	// A certificate that nobody vouches for is not believed.
	if a, err := (AddressService{URL: server.URL + "/plain"}).Address(t.Context(), true); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown certificate: %v, %v", a, err)
	}
}

// TestOutsideOnce: nobody is asked twice.
func TestOutsideOnce(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Write([]byte("192.0.2.7"))
	}))
	defer server.Close()
	s := spaClient()
	s.AddressService = AddressService{URL: server.URL, Transport: server.Client().Transport}
	for range 3 {
		if a, err := s.outsideAddress(t.Context(), true); err != nil || a.String() != "192.0.2.7" {
			t.Errorf("%v, %v", a, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestParseResolveURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/ip": "https://a.example/ip", "a.example/ip": "https://a.example/ip",
		"http://a.example/ip": "must be an https:// URL", "file:///etc/passwd": "must be an https:// URL", "https://": "must be an https:// URL", "": "must be an https:// URL",
	} {
		got, err := ParseResolveURL(text)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// stunServer answers with what reply makes of a request and its sender, and
// not before the nth request.
func stunServer(t *testing.T, nth int, reply func(request []byte, from netip.AddrPort) []byte) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n >= nth {
				conn.WriteToUDPAddrPort([]byte("junk"), from)
				conn.WriteToUDPAddrPort(reply(buf[:size], from), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// stunReply is a success with attributes.
func stunReply(request []byte, attributes ...byte) []byte {
	b := append([]byte{0x01, 0x01, 0, byte(len(attributes))}, request[4:20]...)
	return append(b, attributes...)
}

func TestSTUN(t *testing.T) {
	outside := netip.MustParseAddr("192.0.2.7").As4()
	plain := append([]byte{0x00, 0x01, 0, 8, 0, 1, 0x12, 0x34}, outside[:]...)
	xored := func(request []byte, a [4]byte) []byte {
		v := []byte{0x00, 0x20, 0, 8, 0, 1, 0, 0}
		return binary.BigEndian.AppendUint32(v, binary.BigEndian.Uint32(a[:])^binary.BigEndian.Uint32(request[4:]))
	}
	changed := []byte{0x00, 0x01, 0, 8, 0, 1, 0x12, 0x34, 198, 51, 100, 1}
	for name, c := range map[string]struct {
		nth   int
		reply func(request []byte, from netip.AddrPort) []byte
	}{
		"old attribute": {1, func(r []byte, _ netip.AddrPort) []byte { return stunReply(r, plain...) }},
		"new attribute": {1, func(r []byte, _ netip.AddrPort) []byte { return stunReply(r, xored(r, outside)...) }},
		"both":          {1, func(r []byte, _ netip.AddrPort) []byte { return stunReply(r, append(changed, xored(r, outside)...)...) }},
		"others before": {1, func(r []byte, _ netip.AddrPort) []byte {
			return stunReply(r, append([]byte{0x80, 0x22, 0, 3, 'a', 'b', 'c', 0}, plain...)...)
		}},
		"first one lost": {2, func(r []byte, _ netip.AddrPort) []byte { return stunReply(r, plain...) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := AddressService{STUN: stunServer(t, c.nth, c.reply)}.Address(t.Context(), true)
			if err != nil || a.String() != "192.0.2.7" {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	t.Run("nothing of ours", func(t *testing.T) {
		t.Parallel()
		server := stunServer(t, 1, func(r []byte, _ netip.AddrPort) []byte {
			b := stunReply(r, plain...)
			b[8] ^= 1 // of another request
			return b
		})
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		if a, err := (AddressService{STUN: server}).Address(ctx, true); err == nil {
			t.Errorf("%v", a)
		}
	})
}

// FuzzSTUN: no answer makes parseSTUN panic or invent an address.
func FuzzSTUN(f *testing.F) {
	var request [stunHeader]byte
	f.Add([]byte{})
	f.Add(stunReply(request[:], 0x00, 0x20, 0, 8, 0, 1, 0, 0, 1, 2, 3, 4))
	f.Add(stunReply(request[:], 0x00, 0x01, 0, 20, 0, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseSTUN(b, request); ok != a.IsValid() {
			t.Errorf("%v %v", a, ok)
		}
	})
}
