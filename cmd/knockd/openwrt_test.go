package main

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/nettest"
)

const openwrt = "../../configs/openwrt/"

// shells are those that the scripts for OpenWrt are tried with; the one there is
// that of busybox.
var shells = [][]string{{"busybox", "ash"}, {"sh"}, {"bash", "--posix"}}

// TestOpenWrtScripts: the scripts are what the shells take, and shellcheck finds
// nothing in them.
func TestOpenWrtScripts(t *testing.T) {
	nettest.NeedProgram(t, "shellcheck")
	nettest.NeedProgram(t, "busybox")
	for _, name := range []string{"uci.sh", "knockd.init"} {
		for _, shell := range append(shells, []string{"shellcheck"}) {
			args := append(slices.Clone(shell[1:]), "-n", openwrt+name)
			if shell[0] == "shellcheck" {
				args = []string{"-S", "warning", openwrt + name} // what is less differs between its versions
			}
			if out, err := exec.Command(shell[0], args...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%q %q: %v\n%s", shell[0], args, err, out)
			}
		}
	}
}

// stub is what the scripts use of OpenWrt's shell library: a file of UCI is a
// shell script that calls config, option and list. It says what procd is asked for.
const stub = `
UCI=$1 LOG=$2
config() { section=${2:-cfg0}; eval "type_$section=$1"; config_cb "$1" "$section"; }
option() { name=$1; shift; option_cb "$name" "$*"; }
list() { name=$1; shift; list_cb "$name" "$*"; }
package() { :; }
reset_cb() { config_cb() { :; }; option_cb() { :; }; list_cb() { :; }; }
reset_cb
config_load() { . "$UCI"; config_cb; }
network_get_device() { case $2 in wan | wan6) eval "$1=eth0.2" ;; lan) eval "$1=br-lan" ;; *) return 1 ;; esac; }
config_foreach() { :; }
logger() { sed -e /advice:/d -e "s/^/log: /" >>"$LOG"; }
for f in open_instance close_instance set_param send_signal add_reload_trigger add_interface_trigger; do
	eval "procd_$f() { echo \"$f\${*:+ \$*}\" >>\"\$LOG\"; }"
done
running() { [ -e "$LOG.running" ]; }
start() { start_service; }
stop() { echo stop >>"$LOG"; }
`

var uciTests = []struct {
	name, uci, main string
	want            string // the drop-in; "": nothing is written
	faults          string
	status          int
}{{
	name: "a door", uci: `
config globals 'globals'
	option enabled '1'
	list network 'wan'
	list network 'wan6'
	list network 'lan'
	list network 'gone'
	option LogRate '50'

config door 'ssh'
	option sequence '7000,8000,9000'
	list tcpflags 'syn'
	list tcpflags '!ack'
	option open 'tcp/22'
	option cmd_timeout '30'
	option strict '1'
`,
	want: `[options]
	UseSyslog
	Interface = eth0.2,br-lan
	LogRate = 50

[ssh]
	new = yes
	sequence = 7000,8000,9000
	open = tcp/22
	cmd_timeout = 30
	strict = yes
	tcpflags = syn,!ack
`}, {
	name: "what the main file has, and other words", main: "[old]\n\tsequence = 1,2\n", uci: `
package knockd
config globals
	option enabled 'on'
	option Interface 'eth1'
	option usesyslog '0'
	option LogFile '/tmp/knockd.log'
	option LogFailures 'off'

config door 'old'
	option start_command 'logger -t "it'\''s" $HOME %IP%; echo # \'

config door
	option name 'A door, with blanks'
	option Sequence '7000:udp,8000'
	option enabled 'true'
	option command 'true'

config door 'later'
	option enabled '0'
	option sequence 'to be chosen'
`,
	want: `[options]
	Interface = eth1
	LogFile = /tmp/knockd.log
	LogFailures = no

[old]
	start_command = logger -t "it's" $HOME %IP%; echo # \

[A door, with blanks]
	new = yes
	Sequence = 7000:udp,8000
	command = true
`}, {
	name: "faults", uci: `
config globals 'globals'
	option enabled '1'
config rule 'ssh'
	option sequence '1,2'
config door 'a'
	option sequence '1,2
[options]'
	option name 'x]'
	list tcp-flags 'syn'
`,
	faults: `/etc/config/knockd: rule ssh: is neither globals nor a door
/etc/config/knockd: door a: sequence: must be one line
/etc/config/knockd: door a: name: must be one line without brackets
/etc/config/knockd: door a: tcp-flags: no such key
`, status: 1}, {
	name: "not enabled", uci: "config door 'a'\n\toption sequence '1,2'\n\toption command 'true'\n",
	want: "[options]\n\tUseSyslog\n\tInterface = default-route\n\n[a]\n\tnew = yes\n\tsequence = 1,2\n\tcommand = true\n", status: 2,
}}

// TestUCI: the file of OpenWrt's UCI becomes a drop-in that the configuration
// takes, and what it cannot be written as is said.
func TestUCI(t *testing.T) {
	nettest.NeedProgram(t, "busybox")
	nettest.NeedProgram(t, "bash")
	for _, shell := range shells {
		for _, c := range uciTests {
			t.Run(shell[0]+", "+c.name, func(t *testing.T) {
				dir := t.TempDir()
				main := filepath.Join(dir, "knockd.conf")
				for name, text := range map[string]string{
					"knockd.conf": c.main, "uci": c.uci,
					"run": stub + ". " + openwrt + "uci.sh\nknockd_update " + main + "\n",
				} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				update := func() (string, int) {
					cmd := exec.Command(shell[0], append(slices.Clone(shell[1:]), dir+"/run", dir+"/uci", dir+"/log")...)
					out, _ := cmd.CombinedOutput()
					return string(out), cmd.ProcessState.ExitCode()
				}
				if said, status := update(); said != c.faults || status != c.status {
					t.Errorf("status %d\n%swant %d\n%s", status, said, c.status, c.faults)
				}
				text, err := os.ReadFile(main + ".d/50-uci.conf")
				if c.want == "" {
					if err == nil {
						t.Errorf("written:\n%s", text)
					}
					return
				}
				_, text2, _ := strings.Cut(string(text), "\n") // behind the comment
				if text2 != c.want {
					t.Errorf("%v\n%swant\n%s", err, text2, c.want)
				}
				if _, err := config.Load(main); err != nil {
					t.Error(err)
				}
				before, _ := os.Stat(main + ".d/50-uci.conf")
				update()
				if after, err := os.Stat(main + ".d/50-uci.conf"); err != nil || !os.SameFile(before, after) || after.Mode() != 0o600 {
					t.Errorf("written once more: %v, %v", after, err)
				}
				if left, _ := os.ReadDir(main + ".d"); len(left) != 1 {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

// TestUCIKeepsState: with keys the state is kept on flash, unless it is said where.
func TestUCIKeepsState(t *testing.T) {
	for uci, want := range map[string]bool{
		"config door 'a'\n\toption SPA_Key_File '/etc/knockd/keys'\n":                                                      true,
		"config door 'a'\n\toption SPA_Key_File '/etc/knockd/keys'\nconfig globals\n\toption statedir '/mnt'\n":            false,
		"config door 'a'\n\toption sequence '1,2'\n":                                                                       false,
		"config door 'a'\n\toption spa_key_file '/etc/knockd/keys'\n\toption enabled '0'\n":                                false,
		"config globals\n\toption enabled 1\nconfig door\n\toption spa_key_file '/etc/knockd/keys'\n\toption name 'two'\n": true,
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"uci": uci, "run": stub + ". " + openwrt + "uci.sh\nknockd_write /nonexistent\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command("sh", dir+"/run", dir+"/uci", dir+"/log").CombinedOutput()
		if got := strings.Contains(string(out), "\tStateDir = /etc/knockd\n"); err != nil || got != want {
			t.Errorf("%s: %v\n%swant a place on flash: %v", uci, err, out, want)
		}
	}
}

// initScript returns a command that sources the init script, with OpenWrt's
// library as stub has it, runs a line, and prints what procd and the log were told.
// The daemon that it would start is the given program.
func initScript(t *testing.T, dir, program, line string) string {
	t.Helper()
	text, err := os.ReadFile(openwrt + "knockd.init")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer(
		"PROG=/usr/sbin/knockd", "PROG="+program,
		"CONF=/etc/knockd.conf", "CONF="+dir+"/knockd.conf",
		`. "${IPKG_INSTROOT:-}/usr/share/knockd/uci.sh"`, ". "+openwrt+"uci.sh",
		"	. /lib/functions/network.sh", "	:",
	).Replace(string(text))
	if strings.Count(script, dir) != 1+strings.Count(program, dir) {
		t.Fatal("the init script is not as the test knows it")
	}
	log := dir + "/log"
	os.Remove(log)
	if err := os.WriteFile(dir+"/run", []byte(stub+script+"\n"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("busybox", "ash", dir+"/run", dir+"/uci", log).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	said, _ := os.ReadFile(log)
	return strings.ReplaceAll(string(said), dir, "DIR")
}

// TestOpenWrtInit: the daemon is started and reloaded with what is enabled and has
// no fault, and with nothing else.
func TestOpenWrtInit(t *testing.T) {
	nettest.NeedProgram(t, "busybox")
	dir := t.TempDir()
	program := dir + "/knockd"
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const started = "open_instance\nset_param command DIR/knockd -c DIR/knockd.conf\nset_param stderr 1\nset_param respawn\n" +
		"set_param term_timeout 90\nclose_instance\n"
	const door = "config door 'ssh'\n\toption sequence '7000,8000,9000'\n\toption tcpflags 'syn'\n\toption command 'true'\n"
	const enabled = "config globals\n\toption enabled '1'\n\toption interface 'lo'\n"
	running := func(yes bool) {
		if yes {
			nettest.Write(t, dir+"/log.running", "")
		} else {
			os.Remove(dir + "/log.running")
		}
	}
	for _, c := range []struct {
		uci, do string
		running bool
		want    string
	}{
		{enabled + door, "start_service", false, started},
		{door, "start_service", false, ""},
		{enabled + door, "reload_service", true, "send_signal knockd\n"},
		{enabled + door, "reload_service", false, started},
		{door, "reload_service", true, "stop\n"},
		{enabled + strings.Replace(door, "9000", "90000", 1), "start_service", false, "log: " +
			"DIR/knockd.conf.d/50-uci.conf:8: [ssh] sequence: step 3: port 90000: must be between 1 and 65535\n"},
		{enabled + strings.Replace(door, "9000", "90000", 1), "reload_service || :", true, "log: " +
			"DIR/knockd.conf.d/50-uci.conf:8: [ssh] sequence: step 3: port 90000: must be between 1 and 65535\n"},
		{enabled + "config open 'x'\n", "start_service", false, "log: /etc/config/knockd: open x: is neither globals nor a door\n"},
		{enabled + door, "service_triggers", false, "add_reload_trigger knockd\n"},
	} {
		nettest.Write(t, dir+"/uci", c.uci)
		running(c.running)
		if got := initScript(t, dir, program, c.do); got != c.want {
			t.Errorf("%s\n%s\n%swant\n%s", c.uci, c.do, got, c.want)
		}
	}
}

// TestOpenWrtPackage: the package has everything in its place. The build system is
// a stand-in that runs what a package defines.
func TestOpenWrtPackage(t *testing.T) {
	nettest.NeedProgram(t, "make")
	top, root := t.TempDir(), t.TempDir()
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(top, "feeds/packages/lang/golang")
	if err := os.MkdirAll(values, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"rules.mk": "INCLUDE_DIR=$(TOPDIR)\nPKG_BUILD_DIR=$(TOPDIR)/build\nSTAGING_DIR_HOSTPKG=" + strings.TrimSpace(string(goRoot)) + "\n" +
			"CP=cp -R\nLN=ln -sf\nINSTALL_DIR=install -d -m0755\nINSTALL_BIN=install -m0755\nINSTALL_DATA=install -m0644\nINSTALL_CONF=install -m0600\n",
		"package.mk": "define BuildPackage\nall:\n\t$(Build/Prepare)\n\t$(Build/Compile)\n\t$(call Package/$(1)/install,$(ROOT))\nendef\n",
		"feeds/packages/lang/golang/golang-values.mk": "GO_OS=linux\nGO_ARCH=mips\nGO_MIPS=softfloat\n",
	} {
		nettest.Write(t, filepath.Join(top, name), text)
	}
	cmd := exec.Command("make", "-C", openwrt, "TOPDIR="+top, "ROOT="+root, "all")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	want := []string{"etc/config/knockd", "etc/init.d/knockd", "usr/bin/knock", "usr/sbin/knockctl", "usr/sbin/knockd", "usr/share/knockd/uci.sh"}
	if got := filesIn(t, root); !slices.Equal(got, want) {
		t.Errorf("installed %q, want %q", got, want)
	}
	is, err := os.Stat(root + "/usr/sbin/knockd")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/bin/knock", "usr/sbin/knockctl"} {
		if by, err := os.Stat(filepath.Join(root, name)); err != nil || !os.SameFile(is, by) {
			t.Errorf("%s is not a link to knockd: %v", name, err)
		}
	}
	f, err := elf.Open(root + "/usr/sbin/knockd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_MIPS || f.ByteOrder != binary.BigEndian {
		t.Errorf("built for %v", f.FileHeader)
	}
}
