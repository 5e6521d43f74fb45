package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// doorTable are doors and the arguments that open them.
var doorTable = []struct{ name, keys, args string }{
	{"tcp", "sequence = 7000,8000,9000\ntcpflags = syn", "7000 8000 9000"},
	{"any", "sequence = 7100,8100,9100", "7100 8100:tcp 9100"},
	{"udp", "sequence = 1001:udp,1002:udp", "-u 1001 1002:tcp"},
	{"mixed", "sequence = 2222:udp,3333:tcp,4444:udp\ntcpflags = syn", "2222:udp 3333 4444:udp"},
	{"same", "sequence = 6000,6000,6000\ntcpflags = syn", "6000 6000 6000"},
	{"synack", "sequence = 2322:udp,3433:tcp,4544:udp\ntcpflags = syn,ack", "--flags syn,ack 2322:udp 3433 4544:udp"},
	{"fin", "sequence = 5101,5102\ntcpflags = fin,!ack", "--flags fin 5101 5102"},
	{"all", "sequence = 5201,5202\ntcpflags = fin,syn,rst,psh,ack,urg", "--flags fin,syn,rst,psh,ack,urg 5201 5202"},
	{"once", "one_time_sequences = %s/server", "--one-time %s/client"},
}

// TestDoors opens a door of each kind at each daemon, over IPv4 and IPv6.
func TestDoors(t *testing.T) {
	for name, daemon := range daemons(t) {
		for _, host := range []string{nettest.Server4, nettest.Server6} {
			t.Run(name+" "+host, func(t *testing.T) {
				t.Parallel()
				cli, srv := nettest.Pair(t)
				opened := t.TempDir()
				config := "[options]\nlogfile = %[1]s/log\n"
				for _, d := range doorTable {
					config += fmt.Sprintf("[%s]\n%s\nseq_timeout = 10\ncommand = touch %s/%s-%%IP%%\n",
						d.name, strings.ReplaceAll(d.keys, "%s", opened), opened, d.name)
				}
				for _, side := range []string{"server", "client"} {
					os.WriteFile(filepath.Join(opened, side), []byte(" 1101,1102:udp\n 1201:udp,1202\n"), 0o600)
				}
				daemon.start(t, srv, "eth0", strings.ReplaceAll(config, "%IP%", "%%IP%%"))
				client := map[string]string{nettest.Server4: nettest.Client4, nettest.Server6: nettest.Client6}[host]
				for _, d := range doorTable {
					args := append(strings.Fields(strings.ReplaceAll(d.args, "%s", opened)), host)
					// Ports come after the host; --one-time has none.
					sort.SliceStable(args, func(i, j int) bool { return !portArgument.MatchString(args[i]) && portArgument.MatchString(args[j]) })
					file := filepath.Join(opened, d.name+"-"+client)
					lines := 1
					if d.name == "once" && !(name == "knockd 0.8" && host == nettest.Server6) {
						lines = 2 // the IPv6 filter of 0.8 does not follow to the next line
					}
					for range lines {
						os.Remove(file)
						if got := knockOn(t, cli, args...); got.code != 0 || got.stderr != "" {
							t.Errorf("%q: %+v", args, got)
						}
						nettest.Eventually(t, d.name, func() bool { _, err := os.Stat(file); return err == nil })
					}
				}
				server, _ := os.ReadFile(filepath.Join(opened, "server"))
				mine, _ := os.ReadFile(filepath.Join(opened, "client"))
				if string(server) != string(mine) || !strings.HasPrefix(string(server), "#1101") {
					t.Errorf("one-time files: %q at the server, %q at the client", server, mine)
				}
			})
		}
	}
}
