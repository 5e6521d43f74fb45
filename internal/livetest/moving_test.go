package livetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

// oldServer is a fwknopd with its sniffer and iptables, as the package sets it
// up.
type oldServer struct {
	t    *testing.T
	host *nettest.Host
	dir  string
	runs int
}

func newOldServer(t *testing.T, h *nettest.Host) *oldServer {
	t.Helper()
	nettest.NeedProgram(t, "/usr/sbin/fwknopd", "iptables")
	nettest.NeedRealRoot(t)
	o := &oldServer{t, h, t.TempDir(), 0}
	for name, text := range map[string]string{
		"access.conf": "SOURCE 10.7.0.0/24\nOPEN_PORTS tcp/22\nREQUIRE_SOURCE_ADDRESS Y\nFW_ACCESS_TIMEOUT 5\nKEY " + spaKey + "\nHMAC_KEY " + spaHMAC + "\n",
		"fwknopd.conf": "PCAP_INTF eth0;\nPCAP_FILTER udp port 62201;\nFWKNOP_RUN_DIR " + o.dir + "/run;\nFWKNOP_PID_FILE " + o.dir +
			"/run/pid;\nDIGEST_FILE " + o.dir + "/run/digest.cache;\n",
	} {
		nettest.Write(t, filepath.Join(o.dir, name), text)
	}
	if err := os.Mkdir(o.dir+"/run", 0o700); err != nil {
		t.Fatal(err)
	}
	return o
}

// start runs it until the function that it returns is called.
func (o *oldServer) start() (stop func()) {
	o.t.Helper()
	var out syncBuffer
	cmd := exec.Command("/usr/sbin/fwknopd", "-f", "-v", "-c", o.dir+"/fwknopd.conf", "-a", o.dir+"/access.conf")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := o.host.Start(cmd); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if o.t.Failed() {
			o.t.Logf("fwknopd:\n%s", out.String())
		}
	})
	nettest.Eventually(o.t, "fwknopd listens", func() bool {
		text := out.String()
		return strings.Contains(text, "Starting fwknopd main event loop") || strings.Contains(text, "Kicking off UDP server") // without pcap
	})
	return func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
}

// markRule is the rule that the host needs for nft_mode = mark, as -t gives it.
var markRule = regexp.MustCompile(`(?m)iptables (-I INPUT .*--mark \S+ -j ACCEPT)`)

// TestMoving is the whole way of a site that moves from fwknopd, and back: the
// client stays as it is.
func TestMoving(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	old := newOldServer(t, server)
	rc := "[default]\nUSE_HMAC Y\n[office]\nSPA_SERVER 10.7.0.2\nACCESS tcp/22\nALLOW_IP 10.7.0.1\nKEY " + spaKey + "\nHMAC_KEY " + spaHMAC + "\n"
	opensAndCloses := func(who string) {
		t.Helper()
		shut(t, client, ssh4)
		fwknop(t, client, rc, "-n", "office")
		opens(t, client, ssh4)
		closes(t, client, ssh4)
		t.Log("opened and closed by", who)
	}
	stop := old.start()
	opensAndCloses("fwknopd")
	stop()

	dir := t.TempDir()
	conf, log := dir+"/knockd.conf", dir+"/knockd.log"
	nettest.Write(t, conf, "[options]\n\tLogFile = "+log+"\n\tStateDir = "+dir+"/state\n")
	status, report, stderr := outcome(t, server, program(t, "knockctl"), "import", "fwknop", "--write", conf+".d", old.dir+"/access.conf")
	if status != 0 || !strings.Contains(report, "the stanza is door [fwknop1]") {
		t.Fatalf("import: status %d\n%s%s", status, report, stderr)
	}
	_, stdout, stderr := outcome(t, server, program(t, "knockd"), "-t", "-c", conf)
	rule := markRule.FindStringSubmatch(stdout + stderr)
	if rule == nil {
		t.Fatalf("-t gives no rule for the mark:\n%s%s", stdout, stderr)
	}
	server.Run("iptables", strings.Fields("-w "+rule[1])...)
	d := prepareCommand(t, server, log, program(t, "knockd"), "-c", conf)
	d.waitFor("starting up, listening on", 1)
	opensAndCloses("knockd")
	d.waitFor("10.7.0.1: fwknop1: OPEN SESAME", 1)
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("knockd: status %d", status)
	}
	if status, out, stderr := outcome(t, server, program(t, "knockd"), "--cleanup", "-c", conf); status != 0 {
		t.Errorf("cleanup: status %d\n%s%s", status, out, stderr)
	}
	server.Run("iptables", strings.Fields("-w "+strings.Replace(rule[1], "-I", "-D", 1))...)

	stop = old.start()
	opensAndCloses("fwknopd again")
	stop()
}

// TestMovingCycle: doors that a script opens, beside ports that serve everybody.
// These stay as reachable as they were with fwknopd.
func TestMovingCycle(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	for _, port := range []string{":443", ":8080"} {
		server.EchoTCP(port)
	}
	server.Run("nft", "add table inet host; add set inet host in { type ipv4_addr; }; add chain inet host input { type filter hook input priority 0; };"+
		" add rule inet host input tcp dport 22 ip saddr @in accept; add rule inet host input tcp dport 22 drop")
	dir := t.TempDir()
	nettest.Write(t, dir+"/cycle.sh", "exec nft \"$1\" element inet host in \"{ $2 }\"\n")
	nettest.Write(t, dir+"/access.conf", "SOURCE ANY\nOPEN_PORTS tcp/22,tcp/443,tcp/8080\nREQUIRE_SOURCE_ADDRESS Y\nKEY "+spaKey+"\nHMAC_KEY "+spaHMAC+"\n"+
		"CMD_CYCLE_OPEN /bin/sh "+dir+"/cycle.sh add $SRC\nCMD_CYCLE_TIMER 5s\nCMD_CYCLE_CLOSE /bin/sh "+dir+"/cycle.sh delete $SRC\n")
	conf, log := dir+"/knockd.conf", dir+"/knockd.log"
	nettest.Write(t, conf, "[options]\n\tLogFile = "+log+"\n\tStateDir = "+dir+"/state\n")
	if status, report, stderr := outcome(t, server, program(t, "knockctl"), "import", "fwknop", "--write", conf+".d", dir+"/access.conf"); status != 0 {
		t.Fatalf("import: status %d\n%s%s", status, report, stderr)
	}
	d := prepareCommand(t, server, log, program(t, "knockd"), "-c", conf)
	d.waitFor("starting up, listening on", 1)
	open := func() {
		t.Helper()
		for _, address := range []string{nettest.Server4 + ":443", nettest.Server4 + ":8080"} {
			if !reaches(client, address) {
				t.Errorf("%s is shut", address)
			}
		}
	}
	open()
	shut(t, client, ssh4)
	fwknop(t, client, "", append([]string{"-A", "tcp/22", "-a", nettest.Client4}, keyed...)...)
	opens(t, client, ssh4)
	open()
	closes(t, client, ssh4)
	open()
	if rules := server.Run("nft", "list", "ruleset"); strings.Contains(rules, "knockd") {
		t.Errorf("knockd has rules of its own:\n%s", rules)
	}
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("knockd: status %d", status)
	}
	open()
}
