package client

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// answers is a web server that gives the same answer to all; it fails the test
// if somebody asks over anything but https, or without end.
type answers struct {
	t     *testing.T
	text  string
	asked int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.asked++; a.asked > 10 {
		a.t.Fatalf("asked %d times", a.asked)
	}
	if r.URL.Scheme != "https" {
		a.t.Fatalf("asked for %v", r.URL)
	}
	return http.ReadResponse(bufio.NewReader(strings.NewReader(a.text)), r)
}

// FuzzPage: whatever the page for the outside address answers, what comes of it
// is an address of the version asked for that a door can be opened for, or an
// error of one line that says whom it is about.
func FuzzPage(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n192.0.2.7",
		"HTTP/1.1 200 OK\r\n\r\n\n 2001:db8::7 \n",
		"HTTP/1.0 200 OK\r\n\r\n::ffff:192.0.2.7",
		"HTTP/1.1 200 OK\r\n\r\nfe80::1%eth0",
		"HTTP/1.1 200 OK\r\n\r\n127.0.0.1",
		"HTTP/1.1 200 OK\r\n\r\n224.0.0.1",
		"HTTP/1.1 200 OK\r\n\r\n255.255.255.255",
		"HTTP/1.1 200 OK\r\n\r\n<html>192.0.2.7</html>",
		"HTTP/1.1 301 There\r\nLocation: http://other.example/\r\n\r\n192.0.2.7",
		"HTTP/1.1 302 There\r\nLocation: /again\r\n\r\n192.0.2.7",
		"HTTP/1.1 404 \x1b[2Jgone\r\n\r\n192.0.2.7",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n192.\r\n5\r\n0.2.7\r\n0\r\n\r\n",
		"\x00",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, v4 bool) {
		o := AddressService{URL: "https://ip.example/", Transport: &answers{t: t, text: text}}
		a, err := o.Address(t.Context(), v4)
		if err == nil {
			if a.Is4() != v4 || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a == broadcast {
				t.Fatalf("address %v", a)
			}
			return
		}
		var of *AddressError
		if a.IsValid() || !errors.As(err, &of) || !strings.Contains(err.Error(), "https://ip.example/") {
			t.Fatalf("%v, %v", a, err)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("an error for a terminal: %q", err.Error())
		}
	})
}

// FuzzValues: what a profile and the command line may say is within its bounds,
// or an error without a value.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"200", "1.5", "1m30s", "-1", "-1ns", "24h", "24h1ns", "1e3", "9223372036854775807", "+5", "0x10", "ms", "",
		"tcp/22", "22", "udp/53", "TCP/065535", "65536", "any", "IPv6", "syn, ack", "fin,,", "7000,8000:udp # c\n9000\t1:tcp\r\n"} {
		f.Add(text)
	}
	const longest = 24 * time.Hour
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64 { // the engine takes long to make long inputs shorter
			t.Skip()
		}
		if d, err := ParseDelay(text); d < 0 || d > longest || err != nil && d != 0 {
			t.Errorf("delay %v, %v", d, err)
		}
		if d, err := ParseTimeout(text); (d > 0) != (err == nil) || d > longest {
			t.Errorf("timeout %v, %v", d, err)
		}
		if n, err := ParseRetry(text); n < 0 || n > 100 || err != nil && n != 0 {
			t.Errorf("retry %v, %v", n, err)
		}
		if port, err := ParseWait(text); (port > 0) != (err == nil) {
			t.Errorf("port %v, %v", port, err)
		}
		if v, err := ParseFamily(text); v > Both || err != nil && v != Any {
			t.Errorf("family %v, %v", v, err)
		}
		if flags, err := ParseFlags(text); (flags != 0) != (err == nil) {
			t.Errorf("flags %v, %v", flags, err)
		}
		steps, err := ReadSequenceFile(text)
		if (len(steps) > 0) != (err == nil) || len(steps) > knock.MaxSteps {
			t.Errorf("sequence %v, %v", steps, err)
		}
		for _, s := range steps {
			if s.Port == 0 || s.Proto != knock.TCP && s.Proto != knock.UDP {
				t.Errorf("step %v", s)
			}
		}
		if url, err := ParseResolveURL(text); err == nil && !strings.HasPrefix(url, "https://") || err != nil && url != "" {
			t.Errorf("URL %q, %v", url, err)
		}
	})
}
