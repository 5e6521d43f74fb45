package livetest

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// captured is a packet in a capture file.
type captured struct {
	at       time.Duration // after noon
	from, to string
	proto    domain.Protocol
	port     uint16
	flags    domain.Flags
	payload  []byte
}

// noon is when the capture files of these tests begin.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)

// writeCapture makes a capture file of packets.
func writeCapture(t *testing.T, name string, packets []captured) {
	t.Helper()
	var list []conformance.Packet
	for _, p := range packets {
		h := domain.Hit{Src: netip.MustParseAddr(p.from), Dst: netip.MustParseAddr(p.to), SrcPort: 40000, DstPort: p.port,
			Proto: p.proto, Flags: p.flags, PayloadLen: len(p.payload)}
		list = append(list, conformance.Packet{Hit: h, Time: noon.Add(p.at)})
	}
	data := conformance.Capture(list)
	// Where a payload is to stand are zeros, behind the headers of the file,
	// of the packet and of its layers.
	for i, rest := 0, data[24:]; i < len(packets); i++ {
		n := len(conformance.Frame(list[i].Hit))
		frame := rest[16 : 16+n]
		copy(frame[n-len(packets[i].payload):], packets[i].payload)
		rest = rest[16+n:]
	}
	nettest.Write(t, name, string(data))
}

// TestSPARead: --read decides on messages in a capture file as the daemon
// would have, by the packets' clock; every key of a door with keys.
func TestSPARead(t *testing.T) {
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	keys := dir + "/keys"
	secrets.keyFile(spaKeys)
	nettest.Write(t, keys, spaKeys)
	const (
		home    = "10.7.0.2"
		sender  = "192.0.2.9"
		refused = "192.0.2.9: ssh (laptop): SPA packet refused: "
	)
	// seal makes a message, stamped at noon, of what differs from the usual.
	seal := func(change func(*spa.Message)) []byte {
		m := spa.Message{User: "tester", Time: noon, Type: spa.Access, Address: netip.MustParseAddr("192.0.2.10"),
			Ports: []domain.Step{{Proto: domain.TCP, Port: 22}}}
		if change != nil {
			change(&m)
		}
		p, err := spa.Seal(m, laptop, 0)
		if err != nil {
			t.Fatal(err)
		}
		secrets.packet(p, laptop)
		return p
	}
	asks := func(allow string, ports ...string) func(*spa.Message) {
		return func(m *spa.Message) {
			m.Address = netip.MustParseAddr(allow)
			if len(ports) > 0 {
				m.Ports = nil
			}
			for _, p := range ports {
				var n uint16
				proto := domain.TCP
				if strings.HasPrefix(p, "udp/") {
					proto = domain.UDP
				}
				fmt.Sscan(p[4:], &n)
				m.Ports = append(m.Ports, domain.Step{Proto: proto, Port: n})
			}
		}
	}
	stamped := func(d time.Duration) func(*spa.Message) {
		return func(m *spa.Message) { m.Time = m.Time.Add(d) }
	}
	wants := func(seconds int) func(*spa.Message) {
		return func(m *spa.Message) {
			m.Type, m.Timeout = spa.AccessTimed, time.Duration(seconds)*time.Second
		}
	}
	opens := func(seconds int) string {
		return fmt.Sprintf("192.0.2.9: ssh: client laptop asks for tcp/22 for 192.0.2.10 (%d s)\n192.0.2.10: ssh: OPEN SESAME\n", seconds)
	}
	for _, c := range []struct {
		name, door string
		change     func(*spa.Message)
		packet     captured
		want       string // how what is logged begins; "" is nothing
	}{
		{name: "as it is", want: opens(10)},
		{name: "cmd_timeout", door: "cmd_timeout = 45", want: opens(45)},
		{name: "spa_port", packet: captured{port: 4000}},
		{name: "spa_port list, first", door: "spa_port = 62201, 4000-4010", want: opens(10)},
		{name: "spa_port list, range begins", door: "spa_port = 62201, 4000-4010", packet: captured{port: 4000}, want: opens(10)},
		{name: "spa_port list, range ends", door: "spa_port = 62201, 4000-4010", packet: captured{port: 4010}, want: opens(10)},
		{name: "spa_port list, behind it", door: "spa_port = 62201, 4000-4010", packet: captured{port: 4011}},
		{name: "spa_port list without the default", door: "spa_port = 4000"},
		{name: "SYN", packet: captured{proto: domain.TCP, flags: domain.SYN}, want: opens(10)},
		{name: "data of a connection", packet: captured{proto: domain.TCP, flags: domain.ACK | domain.PSH}},
		{name: "spa_transport", door: "spa_transport = tcp", packet: captured{proto: domain.TCP, flags: domain.ACK | domain.PSH}, want: opens(10)},
		{name: "allow", door: "allow = 192.0.2.0/24", want: opens(10)},
		{name: "allow, another sender", door: "allow = 198.51.100.0/24"},
		{name: "allow, another address", door: "allow = 192.0.2.9", want: refused + "the address to open, 192.0.2.10, is not in allow or allow_inside\n"},
		{name: "allow_inside", door: "allow = 192.0.2.9\nallow_inside = 192.0.2.10", want: opens(10)},
		{name: "allow_inside is not for senders", door: "allow = 192.0.2.10\nallow_inside = 192.0.2.9"},
		{name: "deny the sender", door: "deny = 192.0.2.9"},
		{name: "deny the address", door: "allow = 192.0.2.0/24\ndeny = 192.0.2.10", want: refused + "the address to open, 192.0.2.10, is in deny\n"},
		{name: "open", change: asks("192.0.2.10", "tcp/23"), want: refused + "tcp/23 is not in open\n"},
		{name: "open, one of two", change: asks("192.0.2.10", "tcp/22", "udp/22"), want: refused + "udp/22 is not in open\n"},
		{name: "open, a range", door: "open = tcp/22-24", change: asks("192.0.2.10", "tcp/24"),
			want: "192.0.2.9: ssh: client laptop asks for tcp/24 for 192.0.2.10 (10 s)\n"},
		{name: "deny_ports", door: "open = tcp/1-100\ndeny_ports = tcp/22-25", want: refused + "tcp/22 is in deny_ports\n"},
		{name: "deny_ports, another", door: "open = tcp/1-100\ndeny_ports = tcp/23, udp/22", want: opens(10)},
		{name: "require_user", door: "require_user = tester", want: opens(10)},
		{name: "require_user, another", door: "require_user = alice", want: refused + "not the user name that require_user asks for\n"},
		{name: "sender", change: asks("0.0.0.0"),
			want: "192.0.2.9: ssh: client laptop asks for tcp/22 for 192.0.2.9 (10 s)\n192.0.2.9: ssh: OPEN SESAME\n"},
		{name: "require_source", door: "require_source = yes", change: asks("0.0.0.0"),
			want: refused + "it leaves the address to the sender; require_source wants it named\n"},
		{name: "require_source, named", door: "require_source = yes", want: opens(10)},
		{name: "loopback", change: asks("127.0.0.1"), want: refused + "the address to open is unspecified, loopback, multicast or has a zone\n"},
		{name: "IPv6 inside", change: asks("2001:db8::1"), want: refused + "the address to open is IPv6; the door lacks spa_ipv6 = yes\n"},
		{name: "spa_ipv6", door: "spa_ipv6 = yes", change: asks("2001:db8::1"),
			want: "192.0.2.9: ssh: client laptop asks for tcp/22 for 2001:db8::1 (10 s)\n2001:db8::1: ssh: OPEN SESAME\n"},
		{name: "expires, before", door: "expires = 2026-11-23 12:01", want: opens(10)},
		{name: "expires", door: "expires = 2026-11-23 12:00", want: refused + "the door's expiry date has passed\n"},
		{name: "destination, not of this host", packet: captured{to: "10.8.0.9"}},
		{name: "destination", door: "destination = 10.8.0.0/16", packet: captured{to: "10.8.0.9"}, want: opens(10)},
		{name: "destination, elsewhere", door: "destination = 10.8.0.0/16"},
		{name: "spa_max_age, old", change: stamped(-120 * time.Second), want: opens(10)},
		{name: "spa_max_age, too old", change: stamped(-121 * time.Second), want: refused + "121 s too old (limit 120 s), check the clocks\n"},
		{name: "spa_max_age, early", change: stamped(120 * time.Second), want: opens(10)},
		{name: "spa_max_age, too early", change: stamped(121 * time.Second), want: refused + "121 s too early (limit 120 s), check the clocks\n"},
		{name: "spa_max_age, shorter", door: "spa_max_age = 5", change: stamped(-6 * time.Second), want: refused + "6 s too old (limit 5 s), check the clocks\n"},
		{name: "spa_max_age, longer", door: "spa_max_age = 600", change: stamped(-600 * time.Second), want: opens(10)},
		{name: "timeout", change: wants(60), want: opens(60)},
		{name: "timeout, the longest", change: wants(65536), want: opens(300)},
		{name: "max_timeout", door: "max_timeout = 3600", change: wants(65536), want: opens(3600)},
		{name: "max_timeout, shorter than cmd_timeout", door: "max_timeout = 5", change: wants(60), want: opens(5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			door := c.door
			if !strings.Contains(door, "open = ") {
				door += "\nopen = tcp/22"
			}
			conf := "[ssh]\nspa_key_file = " + keys + "\nstart_command = go %IP% %CLIENT% %SRC% %DST% %PORT% %PROTO% %DOOR%\n" + door + "\n"
			nettest.Write(t, dir+"/knockd.conf", conf)
			p := captured{from: sender, to: home, proto: domain.UDP, port: 62201}
			p.payload = seal(c.change)
			if c.packet.to != "" {
				p.to = c.packet.to
			}
			if c.packet.port != 0 {
				p.port = c.packet.port
			}
			if c.packet.proto != 0 {
				p.proto, p.flags = c.packet.proto, c.packet.flags
			}
			again := p
			again.at = time.Millisecond
			writeCapture(t, dir+"/trace.pcap", []captured{p, again})
			status, stdout, stderr := outcome(t, h, program(t, "knockd"), "-c", dir+"/knockd.conf", "--address", home, "-r", dir+"/trace.pcap")
			got := stamp.ReplaceAllString(stdout, "")
			if status != 0 || stderr != "" || !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("status %d\n%s%swant\n%s", status, got, stderr, c.want)
			}
			if c.want != "" && !strings.HasPrefix(c.want, refused) {
				if n := strings.Count(got, "SESAME"); n != 1 || !strings.Contains(got, "192.0.2.9: ssh (laptop): SPA packet refused: used before\n") {
					t.Errorf("opened %d times:\n%s", n, got)
				}
			}
			if c.name == "as it is" && !strings.Contains(got, "ssh: running command: go 192.0.2.10 laptop 192.0.2.9 10.7.0.2 22 tcp ssh\n") {
				t.Errorf("the command:\n%s", got)
			}
		})
	}
}

// TestSPACheck: what -t says of key files, word by word.
func TestSPACheck(t *testing.T) {
	h := nettest.NewHost(t, "h")
	dir := t.TempDir()
	conf, keys := dir+"/knockd.conf", dir+"/keys"
	const (
		good      = "KEY_BASE64: 9s2AdQWfW0+lxpIOnlU3UkIQ0xKrKLp7kEDULGJWWYA=\nHMAC_KEY_BASE64: 5Gy5I6QuD2THjCBxvenevkh61ixJmw63/jSkPvM20rg=\n"
		at        = "CONF:1: [ssh] "
		fault     = at + "spa_key_file: KEYS:"
		source    = "knockd: advice: " + "CONF:1: [ssh] require_source: is no: a packet that was overheard on its way and held back opens for whoever sends it; say yes unless phones send 0.0.0.0\n"
		guessable = "KEY is a passphrase: one overheard packet is enough to try guesses offline, and the derivation is MD5; a random KEY_BASE64 cannot be guessed\n"
	)
	for _, c := range []struct {
		name, keys, door string
		mode             os.FileMode
		status           int
		want             string // on standard error
	}{
		{name: "good", keys: good, want: source},
		{name: "good in every way", keys: good, door: "require_source = yes"},
		{name: "passphrase", keys: "[a]\nKEY open-sesame\nHMAC_KEY other-sesame\n", door: "require_source = yes",
			want: "knockd: advice: " + at + "spa_key_file: client a: " + guessable},
		{name: "readable", keys: good, mode: 0o644, status: 1, want: at + "spa_key_file: KEYS: mode 0644: must be 0600, since it holds keys\n"},
		{name: "missing", status: 1, want: at + "spa_key_file: read key file: open KEYS: no such file or directory\n"},
		{name: "empty", keys: "# none\n", status: 1, want: fault + "1: has no key\n"},
		{name: "raw and base64", keys: good + "KEY x\n", status: 1, want: fault + "3: KEY: given raw and as base64\n"},
		{name: "equal", keys: "KEY equal-keys\nHMAC_KEY equal-keys\n", status: 1, want: fault + "1: client default: the keys for encryption and HMAC are equal\n"},
		{name: "long", keys: "KEY " + strings.Repeat("k", 33) + "\nHMAC_KEY " + strings.Repeat("h", 129) + "\n", status: 1,
			want: fault + "1: KEY: 33 octets long: must be at most 32\nKEYS:2: HMAC_KEY: 129 octets long: must be at most 128\n"},
		{name: "placeholder", keys: "KEY __CHANGEME__\nHMAC_KEY b\n", status: 1, want: fault + "1: KEY: still the placeholder of fwknop's example\n"},
		{name: "mode", keys: good + "ENCRYPTION_MODE CTR\n", status: 1,
			want: fault + "3: ENCRYPTION_MODE: must be CBC or legacy; fwknop's other modes are not supported\n"},
		{name: "no HMAC", keys: "KEY_BASE64 9s2AdQWfW0+lxpIOnlU3UkIQ0xKrKLp7kEDULGJWWYA=\n", status: 1,
			want: fault + "1: client default has no HMAC_KEY; spa_hmac = none would take packets without\n"},
		{name: "no HMAC by choice", keys: "KEY_BASE64 9s2AdQWfW0+lxpIOnlU3UkIQ0xKrKLp7kEDULGJWWYA=\n", door: "require_source = yes\nspa_hmac = none",
			want: "knockd: warning: CONF:4: [ssh] spa_hmac: none: anybody can make the daemon decrypt, and packets can be altered on their way\n" +
				"knockd: advice: " + at + "spa_key_file: client default: packets have no HMAC: every stranger's packet is decrypted to see what it is\n"},
		{name: "spa_hmac", keys: good, door: "spa_hmac = sha224", status: 1,
			want: "CONF:3: [ssh] spa_hmac: ...must be sha256, sha384, sha512, sha3_256, sha3_512, sha1, md5 or none\n"},
		{name: "a sequence too", keys: good, door: "sequence = 7000,8000", status: 1, want: "CONF:3: [ssh] sequence: is for doors with a sequence: this one has spa_key_file\n"},
		{name: "ages", keys: good, door: "spa_max_age = 0\nmax_timeout = 0", status: 1,
			want: "CONF:3: [ssh] spa_max_age: 0: must be at least 1 second\nCONF:4: [ssh] max_timeout: 0: must be at least 1 second\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			secrets.keyFile(c.keys)
			os.Remove(keys)
			if c.keys != "" {
				if c.mode == 0 {
					c.mode = 0o600
				}
				if err := os.WriteFile(keys, []byte(c.keys), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			nettest.Write(t, conf, "[ssh]\nspa_key_file = "+keys+"\n"+c.door+"\nopen = tcp/22\n[options]\nStateDir = "+dir+"/state\n")
			status, _, stderr := outcome(t, h, program(t, "knockd"), "-t", "-i", "lo", "-c", conf)
			got := strings.NewReplacer(conf, "CONF", keys, "KEYS").Replace(stderr)
			if status != c.status || !like(c.want, got) {
				t.Errorf("status %d\n%swant %d\n%s", status, got, c.status, c.want)
			}
		})
	}
}
