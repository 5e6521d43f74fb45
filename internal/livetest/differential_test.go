package livetest

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
)

// rivals are the installed knockd 0.8 and ours on one host, which so get the
// same packets at the same time.
type rivals struct{ theirs, ours *daemon }

func startRivals(t *testing.T, h *nettest.Host, conf string, args ...string) rivals {
	t.Helper()
	nettest.NeedProgram(t, "knockd")
	reference, err := conformance.ReferenceProgram("knockd")
	if err != nil {
		nettest.Missing(t, "needs knockd 0.8: %v", err)
	}
	r := rivals{prepare(t, h, reference, conf, args...), prepare(t, h, program(t, "knockd"), conf, args...)}
	for _, d := range []*daemon{r.theirs, r.ours} {
		d.waitFor("starting up, listening on", 1)
	}
	// Knockd 0.8 says so a moment before it is true.
	time.Sleep(300 * time.Millisecond)
	return r
}

// agree waits until both logs have come to rest and compares them: decisions
// in their order, everything else by what was said.
func (r rivals) agree(t *testing.T, openings int) {
	t.Helper()
	for _, d := range []*daemon{r.theirs, r.ours} {
		d.waitFor("OPEN SESAME", openings)
		d.waitFor("running command", strings.Count(d.text(), "OPEN SESAME"))
		d.waitFor("command timeout", strings.Count(d.text(), "OPEN SESAME"))
		d.waitFor("running command", 2*strings.Count(d.text(), "OPEN SESAME"))
	}
	nettest.Eventually(t, "equal logs", func() bool {
		return lines(r.theirs.text()) == lines(r.ours.text())
	})
	for _, d := range []*daemon{r.theirs, r.ours} {
		d.stop(syscall.SIGTERM)
	}
	theirs, ours := r.theirs.text(), r.ours.text()
	if diff := cmp.Diff(conformance.Decisions(theirs), conformance.Decisions(ours)); diff != "" {
		t.Errorf("decisions: knockd 0.8 -, ours +:\n%s", diff)
	}
	if diff := cmp.Diff(lines(theirs), lines(ours)); diff != "" {
		t.Errorf("lines: knockd 0.8 -, ours +:\n%s", diff)
	}
}

// lines sorts a log. Timeouts
// are logged by 0.8 with the next packet only: these are compared as
// decisions. The directories of the two daemons differ.
func lines(text string) string {
	var out []string
	for line := range strings.Lines(directory.ReplaceAllString(text, "")) {
		if !strings.Contains(line, "sequence timeout") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

var directory = regexp.MustCompile(`/\S*/\d{3}/`)

const threeDoors = `[options]
	logfile = LOG
[syn]
	sequence = 7000,8000,9000
	seq_timeout = 4
	tcpflags = syn
	start_command = true syn %IP%
	cmd_timeout = 1
	stop_command = true nys %IP%
[mixed]
	sequence = 7000:udp,8000,9000:udp,8000
	seq_timeout = 4
	start_command = true mixed %IP%
	cmd_timeout = 1
	stop_command = true dexim %IP%
[one]
	sequence = 5000:udp
	start_command = sh -c 'exit 3' %IP%
	start_command_6 = true six %IP%
	cmd_timeout = 1
	stop_command = true eno %IP%
`

// TestSessions: the same packets, the same log.
func TestSessions(t *testing.T) {
	clients := map[string]func(testing.TB, *nettest.Host, ...string){"knock 0.8": knock08, "knock": knock}
	for name, knock := range clients {
		for _, session := range []struct {
			name     string
			openings int
			knocks   []string // arguments of knock; "pause" lets every attempt expire
		}{
			{"right", 5, []string{
				"SERVER4 7000 8000 9000", "SERVER4 7000:udp 8000 9000:udp 8000", "SERVER4 5000:udp",
				"-6 SERVER6 7000 8000 9000", "-6 SERVER6 5000:udp",
			}},
			{"wrong", 1, []string{
				"SERVER4 7000 9000 8000", "SERVER4 7000", "SERVER4 8000 8000", "SERVER4 1 2 3 5000",
				"SERVER4 7000:udp 9000:udp", "-u SERVER4 7000 8000", "SERVER4 7000 7000 8000 1234 9000",
			}},
			{"late", 1, []string{"SERVER4 7000 8000", "pause", "SERVER4 9000 7000 8000 9000"}},
		} {
			t.Run(name+" "+session.name, func(t *testing.T) {
				t.Parallel()
				client, server := nettest.Pair(t)
				r := startRivals(t, server, threeDoors)
				for _, args := range session.knocks {
					if args == "pause" {
						time.Sleep(5500 * time.Millisecond)
						continue
					}
					args = strings.NewReplacer("SERVER4", nettest.Server4, "SERVER6", nettest.Server6).Replace(args)
					knock(t, client, strings.Fields(args)...)
				}
				r.agree(t, session.openings)
			})
		}
	}
}

// TestOneTimeSession: the same for one-time sequences. One is left over:
// knockd 0.8 crashes when it ends after its last one was used.
func TestOneTimeSession(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	r := startRivals(t, server, oneTime)
	for range 2 {
		knock08(t, client, nettest.Server4, "1111:udp", "2222", "3333:udp")
		time.Sleep(200 * time.Millisecond)
	}
	knock08(t, client, nettest.Server4, "4444", "4444")
	r.agree(t, 1)
	theirs, err := os.ReadFile(r.theirs.file("sequences"))
	if err != nil {
		t.Fatal(err)
	}
	r.ours.sequencesAre(string(theirs))
}

// TestRandomSession: one client knocks at random ports of random doors.
func TestRandomSession(t *testing.T) {
	t.Parallel()
	random := nettest.Rand(t)
	conf, steps, openings := randomSession(random)
	client, server := nettest.Pair(t)
	r := startRivals(t, server, conf)
	for _, knock := range []func(testing.TB, *nettest.Host, ...string){knock08, knock} {
		knock(t, client, append([]string{nettest.Server4}, steps...)...)
	}
	r.agree(t, 2*openings)
}

// randomSession makes doors and knocks on which 0.8's list bug has no bearing,
// that open something, and that leave no attempt behind, so that they can be
// played twice.
func randomSession(random *rand.Rand) (conf string, steps []string, openings int) {
	for {
		doors := conformance.Random(random, time.Second).Doors
		for _, d := range doors {
			d.Timeout, d.Flags, d.Target = time.Hour, domain.FlagMatch{}, netip.Addr{}
		}
		packets := randomKnocks(random, doors)
		again := append(slices.Clone(packets), packets...)
		once := (&conformance.Model{Doors: doors}).Run(packets)
		twice := (&conformance.Model{Doors: doors}).Run(again)
		bugged := (&conformance.Model{Doors: doors, ListBug: true}).Run(again)
		openings = strings.Count(once, "OPEN SESAME")
		if twice != once+once || bugged != twice || openings == 0 {
			continue
		}
		for _, p := range packets {
			steps = append(steps, domain.Step{Proto: p.Proto, Port: p.DstPort}.String())
		}
		return sessionConf(doors), steps, openings
	}
}

// randomKnocks follows random doors' sequences, not always to the end.
func randomKnocks(random *rand.Rand, doors []*domain.Door) (packets []conformance.Packet) {
	for len(packets) < 20 {
		steps := doors[random.IntN(len(doors))].Sequence
		if random.IntN(3) == 0 {
			steps = steps[:random.IntN(len(steps))]
		}
		for _, s := range steps {
			packets = append(packets, conformance.Packet{
				Hit: domain.Hit{Src: netip.MustParseAddr(nettest.Client4), Dst: conformance.Local[0],
					Proto: s.Proto, DstPort: s.Port, Flags: domain.SYN},
				Time: time.Unix(1_700_000_000, 0),
			})
		}
	}
	return packets
}

func sessionConf(doors []*domain.Door) string {
	conf := "[options]\n\tlogfile = LOG\n"
	for _, d := range doors {
		_, section, _ := strings.Cut(conformance.ConfigText([]*domain.Door{d}), "\n")
		conf += section + "\tstart_command = true %IP%\n\tcmd_timeout = 1\n\tstop_command = true stop %IP%\n"
	}
	return conf
}
