package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

const script = "../../configs/knock.sh"

// TestScript looks at what the shell script sends, with each tool.
func TestScript(t *testing.T) {
	for tool, shells := range map[string][]string{"nc": {"sh", "bash"}, "bash": {"sh"}, "nmap": {"sh"}} {
		for _, shell := range shells {
			for host, from := range map[string]string{nettest.Server4: nettest.Client4, nettest.Server6: nettest.Client6} {
				t.Run(tool+" "+shell+" "+host, func(t *testing.T) {
					t.Parallel()
					nettest.NeedProgram(t, tool, shell)
					cli, srv := nettest.Pair(t)
					drop(t, srv)
					tap := newTap(t, srv)
					cmd := exec.Command(shell, script, host, "7000", "8000:udp", "9000:tcp")
					cmd.Env = append(os.Environ(), "KNOCK_WITH="+tool)
					if tool == "nmap" {
						cmd.Env = append(cmd.Env, "KNOCK_PAUSE=3") // on a busy machine it takes a while to begin
					}
					if got := finish(t, cli, cmd); got.code != 0 || got.stdout+got.stderr != "" {
						t.Errorf("%+v", got)
					}
					// Whoever was not ended would repeat its SYN within a second.
					time.Sleep(1200 * time.Millisecond)
					var ports []string
					for line := range strings.Lines(tap.from(from)) {
						ports = append(ports, strings.Join(strings.Fields(line)[:2], " "))
					}
					if got := strings.Join(ports, ", "); got != "tcp 7000, udp 8000, tcp 9000" {
						t.Errorf("sent %s", got)
					}
				})
			}
		}
	}
}

func TestScriptErrors(t *testing.T) {
	const usage = "usage: knock.sh HOST PORT[:tcp|:udp] ...\n"
	for args, want := range map[string]string{
		"":                usage,
		"host":            usage,
		"host x":          usage,
		"host 7000:sctp":  usage,
		"host 7000 :udp":  usage,
		"host 7000 70000": "knock.sh: port 70000: must be between 1 and 65535\n",
		"host 0":          "knock.sh: port 0: must be between 1 and 65535\n",
	} {
		out, err := exec.Command("sh", append([]string{script}, strings.Fields(args)...)...).CombinedOutput()
		if err == nil || string(out) != want {
			t.Errorf("knock.sh %s: %v %q, want %q", args, err, out, want)
		}
	}
}
