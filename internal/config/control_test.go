package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `"" "" []`},
		{"ControlSocket = None", `"none" "" []`},
		{"controlsocket = /run/k/s\nControlGroup = adm\nControlAdmins = ann, 1001,bob", `"/run/k/s" "adm" [ann 1001 bob]`},
		{"ControlSocket =", "knockd.conf:2: [options] controlsocket: must name a file or directory"},
		{"ControlSocket = /" + strings.Repeat("x", 90), "knockd.conf:2: [options] controlsocket: /" + strings.Repeat("x", 90) + ": must have at most 90 octets"},
		{"ControlGroup = a b", `knockd.conf:2: [options] controlgroup: "a b": must be a name or a number`},
		{"ControlAdmins = ann,", `knockd.conf:2: [options] controladmins: "": must be a name or a number`},
		{"ControlAdmins = ann:adm", `knockd.conf:2: [options] controladmins: "ann:adm": must be a name or a number`},
	} {
		conf, err := Parse("knockd.conf", []byte("[options]\n"+c.text+"\n[a]\nsequence = 7000\n"))
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%q %q %v", conf.ControlSocket, conf.ControlGroup, conf.ControlAdmins)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant %s", c.text, got, c.want)
		}
	}
}

// TestControlChanges: who may do what can change while the daemon runs, where
// the socket is cannot.
func TestControlChanges(t *testing.T) {
	parse := func(text string) *Config {
		conf, err := Parse("knockd.conf", []byte("[options]\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	changed, fixed := parse("").OptionsChanged(parse("ControlSocket = none\nControlGroup = adm\nControlAdmins = ann"))
	if got := fmt.Sprint(changed, fixed); got != "[ControlSocket ControlGroup ControlAdmins] [ControlSocket ControlGroup]" {
		t.Error(got)
	}
}
