package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestActions: how a door opens follows from its keys, what runs a command last.
func TestActions(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"nothing", "sequence = 1,2", ""},
		{"only a stop command", "sequence = 1,2\nstop_command = b", ""},
		{"commands for both families", "sequence = 1,2\nstart_command = a %IP%\nstop_command = b\nstart_limit = 5",
			"command 3 opens 0 [] {1 *:unknown invalid AddrPort  a %IP% b 5s}"},
		{"another for IPv6", "sequence = 1,2\nstart_command = a\nstart_command_6 = a6",
			"command 1 opens 0 [] {1 *:unknown invalid AddrPort  a  0s}\ncommand 2 opens 0 [] {1 *:unknown invalid AddrPort  a6  0s}"},
		{"none for IPv6", "sequence = 1,2\nstart_command = a\nstart_command_6 =",
			"command 1 opens 0 [] {1 *:unknown invalid AddrPort  a  0s}"},
		{"commands first in the file", "sequence = 1,2\nstart_command = a\nxt_recent = L\nopen = tcp/22, udp/53\ncmd_timeout = 5",
			"nft 3 opens 0 [tcp/22 udp/53] {1 *:unknown invalid AddrPort    0s}\n" +
				"xt_recent 3 opens 0 [] {1 *:unknown invalid AddrPort L   0s}\n" +
				"command 3 opens 0 [] {1 *:unknown invalid AddrPort  a  0s}"},
		{"the port that the knock names", "sequence = 1,*\nopen_ports = 22-25\nopen = tcp/*, udp/*\ncmd_timeout = 5",
			"nft 3 opens 1 [] {1 *:tcp invalid AddrPort    0s}\nnft 3 opens 1 [] {1 *:udp invalid AddrPort    0s}"},
		{"keys", "spa_key_file = k\nopen = tcp/22\nnat_allow = 10.0.0.0/24 tcp/22\nstart_command = a %PORT%\ncmd_timeout = 5",
			"nft 3 opens 2 [] {1 *:unknown invalid AddrPort    0s}\nnat 3 opens 3 [] {1 *:unknown invalid AddrPort    0s}\n" +
				"command 3 opens 0 [] {1 *:unknown invalid AddrPort  a %PORT%  0s}"},
	} {
		conf, err := Parse("k.conf", []byte("[d]\n"+c.keys+"\n"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, a := range conf.Doors[0].Actions {
			got = append(got, fmt.Sprintf("%s %d opens %d %v %v", a.Name, a.For, a.Opens, a.Ports, a.Args))
		}
		if got := strings.Join(got, "\n"); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
