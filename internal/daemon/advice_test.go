package daemon

import (
	"strings"
	"testing"

	"knockd/internal/config"
)

// TestMarkAdvice: a check says which rule packets with the mark need.
func TestMarkAdvice(t *testing.T) {
	conf, err := config.Parse("k.conf", []byte("[options]\nnft_mode = mark\nnft_mark = 0x10/0x30\n[a]\nsequence = 1,9\nopen = tcp/22\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, advice, _ := Check(conf, replayActions, true); !strings.Contains(strings.Join(advice, "\n"), "ufw has to accept") && !strings.Contains(strings.Join(advice, "\n"), "host's firewall has to accept") {
		t.Errorf("advice %q", advice)
	}
}
