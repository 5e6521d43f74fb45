package livetest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// long asks for tests that take many minutes.
var long = os.Getenv("KNOCKD_LONG") != ""

// scannedDoor is a door that only says that it opens.
type scannedDoor struct {
	name, sequence, keys string
	strict               bool
}

// Ports among nmap's 1,000 most common ones, so that each scan hits them.
var scannedDoors = []scannedDoor{
	{"strict-3", "7000,8000,9000", "", true},
	{"strict-4", "3306,7000,8000,9000", "", true},
	{"strict-fin-3", "7000,8000,9000", "tcpflags = fin,!ack,!rst", true},
	{"strict-any-3", "7000,8000,9000", "tcpflags = !ack,!rst", true},
	{"strict-udp-3", "1433:udp,2049:udp,5353:udp", "", true},
	{"plain-3", "7000,8000,9000", "tcpflags = syn", false},
	{"plain-mixed-3", "8000,9000,7000", "tcpflags = syn", false},
	{"plain-4", "3306,7000,8000,9000", "tcpflags = syn", false},
}

func (d scannedDoor) config() string {
	text := fmt.Sprintf("[options]\n\tlogfile = LOG\n[%s]\n\tsequence = %s\n\tcommand = true\n\t%s\n", d.name, d.sequence, d.keys)
	if d.strict {
		text += "\tstrict = yes\n"
	}
	return text
}

var scans = []struct {
	name  string
	args  string
	opens string // the plain doors that each such scan opens
	long  bool   // only with KNOCKD_LONG
}{
	{"all, ascending", "-sS -p- -r", "plain-3 plain-4", false},
	{"all, random order", "-sS -p-", "", false},
	{"top 1000", "-sS", "", false},
	{"top 1000, ascending", "-sS -r", "plain-3 plain-4", false},
	{"connect, all", "-sT -p-", "", true},
	{"connect, ascending", "-sT -p- -r", "", false},
	{"FIN, all", "-sF -p-", "", false},
	{"NULL, all", "-sN -p-", "", false},
	{"UDP, all", "-sU -p- --max-retries 0", "", true},
	{"UDP, ascending", "-sU -p- -r --max-retries 0", "", false},
}

// TestScans: no scan of nmap opens a strict door; ascending ones open every
// plain ascending door, and those in random order some. With KNOCKD_LONG each
// is done 20 times.
func TestScans(t *testing.T) {
	nettest.NeedProgram(t, "nmap")
	t.Parallel()
	client, server := nettest.Pair(t)
	daemons := map[string]*daemon{}
	for _, d := range scannedDoors {
		daemons[d.name] = start(t, server, d.config())
	}
	rounds := 1
	if long {
		rounds = 20
	}
	address := 10
	for _, s := range scans {
		if s.long && !long {
			continue
		}
		opened := map[string]int{}
		began := time.Now()
		for range rounds {
			address++
			from := fmt.Sprintf("10.7.0.%d", address)
			scanFrom(client, from, s.args)
			for _, d := range scannedDoors {
				if strings.Contains(daemons[d.name].text(), from+": "+d.name+": OPEN SESAME") {
					opened[d.name]++
				}
			}
		}
		var said []string
		for _, d := range scannedDoors {
			n := opened[d.name]
			said = append(said, fmt.Sprintf("%s %d", d.name, n))
			if d.strict && n > 0 {
				t.Errorf("%s: %s opened %d times", s.name, d.name, n)
			}
			if strings.Contains(" "+s.opens+" ", " "+d.name+" ") && n < rounds {
				t.Errorf("%s: %s was opened %d times of %d", s.name, d.name, n, rounds)
			}
		}
		t.Logf("%s, %d scans of %v opened: %s", s.name, rounds, time.Since(began)/time.Duration(rounds), strings.Join(said, ", "))
	}
	// They do open, for who knows the sequence; then all that came before has
	// been decided.
	for _, d := range scannedDoors {
		if text := daemons[d.name].text(); !regexp.MustCompile(`(?m)^10\.7\.0\.\d\d+: ` + d.name + `: Stage 1$`).MatchString(text) {
			t.Errorf("no scan took the first step of %s", d.name)
		}
		if !strings.Contains(d.keys, "fin") {
			syn(t, client, nettest.Client4, nettest.Server4, strings.Split(d.sequence, ",")...)
			daemons[d.name].waitFor(nettest.Client4+": "+d.name+": OPEN SESAME", 1)
		}
		if n := strings.Count(daemons[d.name].text(), "OPEN SESAME"); d.strict && n > 3 {
			t.Errorf("%s was opened %d times", d.name, n)
		}
	}
}

// TestScansOfDroppedPorts: a firewall that drops makes nmap send each packet
// again.
func TestScansOfDroppedPorts(t *testing.T) {
	if !long {
		t.Skip("takes minutes: KNOCKD_LONG=1 runs it")
	}
	nettest.NeedProgram(t, "nmap")
	client, server := site(t)
	d := start(t, server, scannedDoors[0].config())
	for i := range 10 {
		from := fmt.Sprintf("10.7.0.%d", 10+i)
		scanFrom(client, from, []string{"-sS -p-", "-sS -p- -r"}[i%2]+" --max-retries 2")
	}
	if strings.Count(d.text(), "Stage 1") < 10 {
		t.Error("not every scan took the first step")
	}
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000", "9000")
	d.waitFor(nettest.Client4+": strict-3: OPEN SESAME", 1)
	if n := strings.Count(d.text(), "OPEN SESAME"); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

// scanFrom scans the server from an address that no scan came from yet, so
// that none fails the attempts of another.
func scanFrom(client *nettest.Host, from, args string) {
	client.AddAddress("eth0", from+"/24")
	client.Run("ip", "route", "replace", "10.7.0.0/24", "dev", "eth0", "src", from)
	client.Run("nmap", append(strings.Fields(args), "-n", "-Pn", "-T5", "--min-rate", "20000", nettest.Server4)...)
}
