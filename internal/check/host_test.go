package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/engine"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// TestPrograms: what a command runs must be there, and root's alone.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		return path
	}
	good, plain := write("good", 0o755), write("plain", 0o644)
	open, group := write("open", 0o757), write("group", 0o775)
	inside := write("shared/inside", 0o755)
	os.Chmod(filepath.Dir(inside), 0o777)
	sticky := write("sticky/inside", 0o755)
	os.Chmod(filepath.Dir(sticky), 0o777|os.ModeSticky)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inside, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":relative:/usr/bin")
	const root = ": whoever does is root at the next knock"
	at := filepath.Dir(inside)
	for _, c := range []struct{ command, want string }{
		{good, ""},
		{"good %IP%", "good: a service does not find it: write " + good},
		{sticky, ""},
		{"none-such", "none-such: there is no such program in " + systemPath},
		{dir + "/none", dir + "/none: there is no such file"},
		{dir, dir + ": is no program"},
		{plain, plain + ": is not executable"},
		{"plain", "plain: there is no such program in " + systemPath},
		{"bin/x", "bin/x: which directory that is in depends on where knockd is started: write the whole path"},
		{open, open + ": others can write (mode 0757)" + root},
		{group, group + ": others can write (mode 0775)" + root},
		{inside, inside + ": in " + at + " others can write (mode 0777)" + root},
		{link, inside + ": in " + at + " others can write (mode 0777)" + root},
		{"sh " + plain, ""}, // which needs no x
		{"sh -x " + open + " y", open + ": others can write (mode 0757)" + root},
		{"exec sh " + dir + "/none", dir + "/none: there is no such file"},
		{"sh -c '" + open + "'", open + ": others can write (mode 0757)" + root},
		{". " + open, open + ": others can write (mode 0757)" + root},
		{good + " && none-such || " + plain, "none-such: there is no such program in " + systemPath + "\n" + plain + ": is not executable"},
		{"if " + good + "; then (none-such) & fi", "none-such: there is no such program in " + systemPath},
		{"x=$(none-such); " + good + " $x", "none-such: there is no such program in " + systemPath},
		{"timeout -k 5 10 nice -n 5 none-such", "none-such: there is no such program in " + systemPath},
		{"A=b env -i C=d " + good, ""},
		{"f() { " + good + "; }; f", ""},
		{"$PROGRAM x; cd /; [ -e /x ]; echo %IP%; : ; test -e /x", ""},
		{"%DOOR%", ""},
	} {
		s, err := parseScript(c.command)
		if err != nil {
			t.Fatal(c.command, err)
		}
		p := newPrograms()
		for _, name := range []string{"timeout", "nice", "env", "sh"} { // not what is tried here
			p.told[name+": there is no such program in "+systemPath] = true
		}
		if got := strings.Join(p.look(s), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.command, got, c.want)
		}
	}
	p := newPrograms()
	s, _ := parseScript("none-such")
	if first, again := p.look(s), p.look(s); len(first) != 1 || len(again) != 0 {
		t.Errorf("the same program is told as %q and again as %q", first, again)
	}
}

// TestSSHDPorts: where sshd listens, by its configuration.
func TestSSHDPorts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sshd_config")
	if got := sshdPorts(file); !slices.Equal(got, []uint16{22}) {
		t.Errorf("without a file: %v", got)
	}
	for text, want := range map[string][]uint16{
		"# Port 5\n":                     {22},
		"Port 2222\n\tport 22\r\n":       {2222, 22},
		"Port=2222\nPortX 5\n":           {2222},
		"ListenAddress 0.0.0.0:2200\n":   {2200},
		"ListenAddress [::]:2201\n":      {2201},
		"ListenAddress 192.0.2.1\n":      {22},
		"Port 99999\nPort x\nPort \"5\"": {5},
	} {
		nettest.Write(t, file, text)
		if got := sshdPorts(file); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	os.Mkdir(file+".d", 0o755)
	for name, text := range map[string]string{file: "Port 5\n", file + ".d/10.conf": "Port 7\n"} {
		nettest.Write(t, name, text)
	}
	if got := sshdPorts(file); !slices.Equal(got, []uint16{7, 5}) {
		t.Errorf("with a drop-in: %v", got)
	}
}

// TestListeners: steps and transports beside the services that there are.
func TestListeners(t *testing.T) {
	services := listeners{{Proto: knock.TCP, Port: 80}, {Proto: knock.UDP, Port: 53}}
	const step = "sequence: step %: a program of this host listens on its port: who uses that service takes the step, and a port that answers is no secret; choose one without a service"
	for sequence, want := range map[string]string{
		"7001,80,9005":                        "2",
		"7001,80:udp,53":                      "",
		"53:udp,7001,80":                      "1 3",
		"80":                                  "", // its door is no secret
		"7001,80,9005\ntarget = 192.0.2.1":    "", // another host's ports
		"7001,*\nopen_ports = 80\nopen=tcp/*": "", // what it opens
	} {
		conf := parse(t, "[a]\nsequence = "+sequence+"\n")
		doors, _, err := engine.Prepare(conf)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, n := range strings.Fields(want) {
			lines = append(lines, strings.Replace(step, "%", n, 1))
		}
		if got := texts(services.adviseSteps(conf, doors)); got != strings.Join(lines, "\n") {
			t.Errorf("%s:\n%s", sequence, got)
		}
	}
	for keys, accepted := range map[string]bool{
		"spa_transport = tcp\n": false, "spa_transport = http\nspa_port = 62201, 79-81\n": true, "spa_port = 53\nspa_transport = tcp\n": false, "": true,
	} {
		if got := texts(services.adviseTransports(parse(t, "[a]\nspa_key_file = f\n"+keys))); (got == "") != accepted {
			t.Errorf("%s: %s", keys, got)
		}
	}
}
