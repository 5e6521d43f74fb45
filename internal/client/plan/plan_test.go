package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// heard is a Reporter that keeps the warnings.
type reporter struct{ warnings []string }

func (h *reporter) Warn(text, hint string)         { h.warnings = append(h.warnings, text+" / "+hint) }
func (h *reporter) Hit(netip.Addr, knock.Step)     {}
func (h *reporter) Packet(string, netip.AddrPort)  {}
func (h *reporter) Retry(int)                      {}
func to[T any](v T) *T                             { return &v }
func write(t *testing.T, path, text string) string { return writeMode(t, path, text, 0o600) }

func writeMode(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// show is a plan in one line.
func show(p *Plan) string {
	secret := fmt.Sprint(p.Steps)
	switch {
	case p.SPA != nil:
		secret = fmt.Sprint(knock.PortsOf(p.SPA.Access), " ", p.SPA.Allow, " ", p.SPA.Timeout, " ", p.SPA.TimeOffset, " ", p.SPA.Proto, " ", string(p.SPA.Client.Key), " ", p.SPA.User)
	case p.OneTime != "":
		secret = filepath.Base(p.OneTime)
	}
	return fmt.Sprintf("%s %v %v | %v %v %v %q | %d %v %d | %s", p.Host, p.address, p.family, p.Pace.Delay, p.Pace.Source, p.Pace.Flags != 0, p.Pace.Interface,
		p.Wait, p.Timeout, p.Retry, secret)
}

// TestMake: the command line wins over the profile, the profile over what is
// usual, and the keys over a sequence where a packet is asked for.
func TestMake(t *testing.T) {
	dir := t.TempDir()
	config := write(t, filepath.Join(dir, "config"), "[gate]\nhost = gate.example.net\nsequence = 7000,8000:udp\ndelay = 200\nwait = tcp/22\ntimeout = 20\nretry = 1\nfamily = ipv6\nflags = ack\nsource = 192.0.2.7\ninterface = eth9\n"+
		"[numbers]\naddress = 192.0.2.9\none_time_file = once\n[keys]\nhost = keys.example.net\nspa_key_file = keys\nspa_access = tcp/22\n")
	write(t, filepath.Join(dir, "keys"), "KEY mine\nHMAC_KEY other\n")
	sequence := write(t, filepath.Join(dir, "sequence"), "1 2\n")
	write(t, filepath.Join(dir, ".fwknoprc"), "[default]\nKEY rc\nACCESS udp/1\nSPOOF_USER rcuser\n[gate]\nSPA_SERVER 192.0.2.3\nALLOW_IP source\nFW_TIMEOUT 9\nTIME_OFFSET 60\n")
	usual := ` | 50ms invalid IP false "" | 0 10s 3 | `
	for _, c := range []struct {
		name    string
		request Request
		want    string
	}{
		{"ports alone", Request{Host: "h", Ports: []string{"1,2", "3:udp"}}, "h invalid IP IP" + usual + "[1:tcp 2:tcp 3:udp]"},
		{"all by UDP", Request{Host: "h", Ports: []string{"1"}, UDP: true, IPv4: true, IPv6: true}, "h invalid IP IPv6" + usual + "[1:udp]"},
		{"the profile's", Request{Host: "gate"}, `gate.example.net invalid IP IPv6 | 200ms 192.0.2.7 true "eth9" | 22 20s 1 | [7000:tcp 8000:udp]`},
		{"the command line's", Request{Host: "gate", Ports: []string{"5"}, IPv4: true, Delay: to(time.Duration(0)), Timeout: to(time.Second), Retry: to(0), Wait: 80, Flags: knock.SYN,
			Source: netip.MustParseAddr("192.0.2.8"), Interface: to("")}, `gate.example.net invalid IP IPv4 | 0s 192.0.2.8 true "" | 80 1s 0 | [5:tcp]`},
		{"no host", Request{Profile: "gate", SequenceFile: &sequence}, `gate.example.net invalid IP IPv6 | 200ms 192.0.2.7 true "eth9" | 22 20s 1 | [1:tcp 2:tcp]`},
		{"another host", Request{Profile: "numbers", Host: "h"}, "h invalid IP IP" + usual + "once"},
		{"an address", Request{Host: "numbers"}, "numbers 192.0.2.9 IP" + usual + "once"},
		{"from standard input", Request{Host: "numbers", SequenceFile: to("-"), Stdin: strings.NewReader("9:udp")}, "numbers 192.0.2.9 IP" + usual + "[9:udp]"},
		{"keys", Request{Host: "keys"}, "keys.example.net invalid IP IP" + usual + "[tcp/22]  0s 0s  mine me"},
		{"keys, ports", Request{Host: "keys", Ports: []string{"5"}}, "keys.example.net invalid IP IP" + usual + "[5:tcp]"},
		{"packet", Request{Host: "gate", SPA: &SPA{}}, `192.0.2.3 invalid IP IPv6 | 200ms 192.0.2.7 true "eth9" | 22 20s 1 | [udp/1] source 9s 1m0s  rc rcuser`},
		{"packet, options", Request{Host: "keys", SPA: &SPA{OpenTime: to(time.Second), Offset: to(time.Duration(0)), FromSource: true, Profile: spa.Profile{User: "u", Proto: "tcp"}}},
			"keys.example.net invalid IP IP" + usual + "[tcp/22] source 1s 0s tcp mine u"},
		{"stanza", Request{SPA: &SPA{Stanza: "gate", OpenTime: to(time.Duration(0)), Offset: to(time.Duration(0))}}, "192.0.2.3 invalid IP IP" + usual + "[udp/1] source 0s 0s  rc rcuser"},

		{"two sources", Request{Host: "h", Ports: []string{"1"}, OneTime: to("x")}, "ports, --one-time and --sequence-file exclude each other / choose one of them"},
		{"families", Request{Both: true, IPv4: true}, "--both means IPv4 and IPv6 / leave out -4 and -6"},
		{"empty name", Request{OneTime: to("")}, "the name of the file is empty / "},
		{"both", Request{Host: "numbers", Both: true}, "a line of a one-time file opens for one address / leave out --both"},
		{"no profile", Request{Profile: "no"}, "no profile no / write a section [no] into DIR/config; knock profiles lists those that are there"},
	} {
		q := c.request
		q.Config = config
		q.Getenv = func(name string) string { return map[string]string{"HOME": dir, "SPOOF_USER": "me"}[name] }
		p, err := q.Make(&reporter{})
		got := ""
		var wrong *MistakeError
		switch {
		case errors.As(err, &wrong):
			got = strings.ReplaceAll(err.Error()+" / "+wrong.Hint(), dir, "DIR")
		case err != nil:
			got = "not a mistake: " + err.Error()
		default:
			got = show(p)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestExposed: whoever keeps secrets where others read them is warned.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	file := writeMode(t, filepath.Join(dir, "sequence"), "1", 0o644)
	h := &reporter{}
	q := Request{Host: "h", SequenceFile: &file, Getenv: func(string) string { return "" }}
	if _, err := q.Make(h); err != nil || len(h.warnings) != 1 || h.warnings[0] != file+" holds a secret and is open to others / chmod 600 "+file {
		t.Errorf("%q, %v", h.warnings, err)
	}
}
