package check

import (
	"strings"
	"testing"

	"knockd/internal/action"
)

// TestMarkRule: which rule packets with the mark need.
func TestMarkRule(t *testing.T) {
	conf := parse(t, "[options]\nStateDir = "+t.TempDir()+"\nnft_mode = mark\nnft_mark = 0x10/0x30\n[a]\nsequence = 1,9\nopen = tcp/22\n")
	r, err := Setup{Conf: conf, ConfigFile: "/k.conf", Actions: action.Stopped()}.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Level == Advice && (strings.Contains(f.Text, "ufw has to accept") || strings.Contains(f.Text, "host's firewall has to accept")) {
			return
		}
	}
	t.Errorf("%+v", r.Findings)
}
