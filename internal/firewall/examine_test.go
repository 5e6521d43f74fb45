package firewall

import (
	"path/filepath"
	"testing"

	"knockd/internal/config"
	"knockd/internal/nettest"
)

// TestMarkRule: the rule for packets with the mark, where ufw is on as ufw
// keeps it.
func TestMarkRule(t *testing.T) {
	conf, err := config.Parse("k.conf", []byte("[options]\nnft_mode = mark\nnft_mark = 0x10/0x30\n[a]\nsequence = 1,9\nopen = tcp/22\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer func(was string) { ufwConf = was }(ufwConf)
	ufwConf = filepath.Join(t.TempDir(), "ufw.conf")
	const (
		plain = "nft_mode = mark: the host's firewall has to accept marked packets: iptables -I INPUT -m mark --mark 0x10/0x30 -j ACCEPT, ip6tables alike, or " +
			"nft insert rule inet filter input 'meta mark & 0x30 == 0x10 accept'"
		ufw = "nft_mode = mark: ufw has to accept marked packets: put the line -A ufw-before-input -m mark --mark 0x10/0x30 -j ACCEPT " +
			"before the last one, COMMIT, of /etc/ufw/before.rules, and -A ufw6-before-input -m mark --mark 0x10/0x30 -j ACCEPT " +
			"before that of /etc/ufw/before6.rules, then ufw reload"
	)
	for text, want := range map[string]string{
		"": plain, "ENABLED=no\n": plain, "# ENABLED=yes\n": plain, "# x\nENABLED=yes\nLOGLEVEL=low\n": ufw, " enabled = \"yes\"\n": ufw,
	} {
		nettest.Write(t, ufwConf, text)
		if got := MarkRule(conf); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	conf.NftMode = config.NftGuard
	if got := MarkRule(conf); got != "" {
		t.Error(got)
	}
}
