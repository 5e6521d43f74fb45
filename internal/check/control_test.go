package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/nettest"
)

// TestControl: who could not connect, and where the socket could not be, is said
// before the daemon starts.
func TestControl(t *testing.T) {
	nettest.NeedRealRoot(t) // else root's directories are nobody's
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "all"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "all"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"ControlSocket = none\nControlGroup = no-such-group\nControlAdmins = nobody", ""},
		{"ControlSocket = DIR/s", ""},
		{"ControlSocket = DIR/none/s", "no control socket: lstat DIR/none: no such file or directory"},
		{"ControlSocket = DIR/all/s", "no control socket: DIR/all: others can write it (mode 0777): must be writable by root alone"},
		{"ControlSocket = DIR/all", "no control socket: DIR/all: there is something else that is no socket"},
		{"ControlGroup = no-such-group", "ControlGroup: group no-such-group: there is no such group: the control socket is for root alone"},
		{"ControlGroup = daemon\nControlAdmins = root, nobody, no-such-user",
			"ControlAdmins: nobody is not in the ControlGroup, and cannot connect\nControlAdmins: there is no user \"no-such-user\""},
		{"ControlGroup = root", "fault: ControlGroup: group root is knockd's own, and that of all that it runs: must be another one"},
	} {
		conf, err := config.Parse("k.conf", []byte("[options]\n"+strings.ReplaceAll(c.text, "DIR", dir)+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, text := &Report{}, ""
		if err := (Setup{Conf: conf, AsRoot: true}).checkControl(r); err != nil {
			text = "fault: " + err.Error()
		}
		for _, f := range r.Findings {
			text += fmt.Sprintln(f.Text)
		}
		if text = strings.ReplaceAll(strings.TrimSpace(text), dir, "DIR"); text != c.want {
			t.Errorf("%s:\n%s\nwant %s", c.text, text, c.want)
		}
	}
}
