package fwknop

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// notAlike are the cases in which knockd decides otherwise on purpose, with what
// the report says of it.
var notAlike = map[string]string{
	"cycle-multi": "it runs once for each port asked for",
	"cycle-ports": "allow_ports and max_timeout hold for it now",
	"cycle-nat":   "NAT messages ran the command, for the outer port, and led nowhere; they are refused now",
}

// TestPeer shows the same packets to the installed fwknopd with its own
// configuration and to the doors made of it: both open for the same ones.
func TestPeer(t *testing.T) {
	nettest.NeedLibrary(t, "fwknopd", "libpcap")
	fwknopd, _ := nettest.FindProgram("fwknopd")
	cases, _ := filepath.Glob("testdata/*.txtar")
	opened, refused := 0, 0
	for _, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir() + "/"
			_, files, conf := load(t, file, dir)
			for path, text := range files {
				os.MkdirAll(filepath.Dir(path), 0o700)
				nettest.Write(t, path, text)
			}
			i, err := Read(dir+"access.conf", conf, files)
			p := peer{t, fwknopd, dir}
			if err != nil {
				if log := p.run(nil, files[dir+"fwknopd.conf"], ""); strings.Contains(log, "Starting fwknopd main event loop") {
					t.Errorf("fwknopd starts with what is a fault here: %v", err)
				}
				return
			}
			if notAlike[name] != "" {
				if !strings.Contains(i.Report(), notAlike[name]) {
					t.Error("the report does not say it")
				}
				return
			}
			asks := asksFor(t, doors(t, i))
			log := p.run(asks, files[dir+"fwknopd.conf"], spaPort(i))
			verifier := spa.NewVerifier(doors(t, i), fresh{})
			for _, a := range asks {
				a.Local = true
				theirs, ours := opens(log, a), verifier.Decide(a.Packet, time.Now())
				if theirs != (ours.Outcome == spa.Opened) {
					t.Errorf("%s: fwknopd opens: %v, knockd: %v %s", a.what, theirs, ours.Outcome, ours.Reason)
				}
				if theirs {
					opened++
				} else {
					refused++
				}
			}
		})
	}
	t.Logf("%d opened, %d refused by both", opened, refused)
	if opened < 50 || refused < 50 {
		t.Errorf("%d opened, %d refused: too few to show anything", opened, refused)
	}
}

// fresh is a Once to which everything is new.
type fresh struct{}

func (fresh) Enter(spa.Token, time.Time, time.Time) (func() error, error) {
	return func() error { return nil }, nil
}

// ask is a packet and what it is.
type ask struct {
	spa.Packet
	what string
}

// asksFor makes packets with the keys of every door, and with others.
func asksFor(t *testing.T, doors []*spa.Door) (asks []ask) {
	port := uint16(spa.DefaultPort)
	clients := []spa.Client{spa.NewClient("stranger", spa.SHA256)}
	for _, d := range doors {
		port = d.Listen[0].First
		clients = append(clients, d.Clients...)
	}
	for n, c := range clients {
		for _, src := range []string{"10.1.2.3", "192.168.7.7", "10.9.9.9"} {
			for _, want := range []string{"tcp/22 10.1.2.3 tester", "udp/53,tcp/22 10.1.2.3 tester", "tcp/80 0.0.0.0 alice", "udp/53 172.16.0.1 alice", "tcp/22 0.0.0.0 tester",
				"tcp/22 10.1.2.3 tester 10.5.5.5:22", "tcp/22 10.1.2.3 alice 10.9.9.2:22 local"} {
				f := strings.Fields(want)
				p := spa.Profile{User: f[2], Client: c}
				p.Access, _ = spa.ParsePorts(f[0])
				if len(f) > 3 {
					p.NATAccess, p.NATLocal = f[3], len(f) > 4
				}
				m, err := p.Message(time.Now(), netip.MustParseAddr(f[1]))
				if err != nil {
					t.Fatal(err)
				}
				payload, err := spa.Seal(m, c, 0)
				if err != nil {
					t.Fatal(err)
				}
				a := ask{what: fmt.Sprintf("keys %d (%v) from %s: %s", n, c, src, want)}
				a.Payload, a.Hit = payload, knock.Hit{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr("10.9.9.2"), Proto: knock.UDP, SrcPort: 40000, DstPort: port}
				asks = append(asks, a)
			}
		}
	}
	return asks
}

func spaPort(i *Import) string {
	for _, d := range i.Doors {
		return d.get("spa_port")
	}
	return "62201"
}

// opens reports whether fwknopd's log tells that the packet opened.
func opens(log string, a ask) bool {
	for _, part := range strings.Split(log, "SPA Packet from IP")[1:] {
		if strings.Contains(part, "SPA Packet: '"+string(a.Payload)) &&
			(strings.Contains(part, "test mode enabled, skipping firewall") || strings.Contains(part, "Running CMD_CYCLE_OPEN")) {
			return true
		}
	}
	return false
}

// peer runs fwknopd in its test mode: it reads packets from a file and changes
// no firewall. Command cycles do run their commands.
type peer struct {
	*testing.T
	fwknopd, dir string
}

func (p peer) run(asks []ask, conf, port string) string {
	// Two settings that a file of packets needs, after what the case says.
	if port != "" {
		conf += "\nENABLE_UDP_SERVER N\nPCAP_FILTER udp port " + port + "\nENABLE_SPA_PACKET_AGING N\n"
	}
	nettest.Write(p, p.dir+"peer.conf", conf)
	p.writePackets(asks)
	os.Mkdir(p.dir+"run", 0o700)
	cmd := exec.Command(p.fwknopd, "-f", "-v", "-v", "-t", "-c", p.dir+"peer.conf", "-a", p.dir+"access.conf",
		"-r", p.dir+"run", "-p", p.dir+"run/pid", "-d", p.dir+"run/dig", "--pcap-file", p.dir+"x.pcap", "-C", fmt.Sprint(max(1, len(asks))))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	stop := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	if len(asks) == 0 {
		stop.Reset(2 * time.Second) // with no packet it never ends by itself
	}
	cmd.Wait()
	stop.Stop()
	return log.String()
}

func (p peer) writePackets(asks []ask) {
	f, err := os.Create(p.dir + "x.pcap")
	if err != nil {
		p.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		p.Fatal(err)
	}
	for i, a := range asks {
		buf := gopacket.NewSerializeBuffer()
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: a.Src.AsSlice(), DstIP: a.Dst.AsSlice()}
		udp := &layers.UDP{SrcPort: layers.UDPPort(a.SrcPort), DstPort: layers.UDPPort(a.DstPort)}
		udp.SetNetworkLayerForChecksum(ip)
		eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
		err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp, gopacket.Payload(a.Payload))
		if err == nil {
			err = w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1795330000+int64(i), 0), CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}, buf.Bytes())
		}
		if err != nil {
			p.Fatal(err)
		}
	}
}
