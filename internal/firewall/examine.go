package firewall

import (
	"fmt"
	"os"
	"regexp"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/nft/inspect"
)

// Examine looks at the host's own rulesets and says which native doors cannot
// work with them. What cannot be looked at is said too, and no fault.
func Examine(conf *config.Config) []event.Event {
	found := leftovers(conf)
	if !opensPorts(conf) {
		return found
	}
	warnings, err := inspect.Examine(Options(conf, nil), Doors(conf))
	found = append(found, event.Findings(warnings)...)
	if err != nil {
		found = append(found, event.NotExamined{What: "the host's rulesets", Err: err})
	}
	return append(found, examineNAT(conf)...)
}

// leftovers says which tables of ours this configuration does not use. Without
// the privilege to look nobody is told.
func leftovers(conf *config.Config) []event.Event {
	var used []knock.Table
	if o := Options(conf, nil); opensPorts(conf) && o.Mode.HasTable() {
		used = append(used, o.Table)
	}
	if len(NATDoors(conf)) > 0 {
		used = append(used, nft.NATTable(conf.NftTable))
	}
	found, _ := nft.Leftovers(0, used...)
	return found
}

// ufwConf is where ufw says whether it is the host's firewall.
var ufwConf = "/etc/ufw/ufw.conf"

// MarkRule returns the one rule that the host's firewall needs for nft_mode =
// mark, ready to paste; "" in other modes. What ufw is not told in its own
// files it takes away again.
func MarkRule(conf *config.Config) string {
	if conf.NftMode != config.NftMark || !opensPorts(conf) {
		return ""
	}
	m := conf.NftMark
	if text, err := os.ReadFile(ufwConf); err == nil && ufwEnabled.Match(text) {
		return fmt.Sprintf("nft_mode = mark: ufw has to accept marked packets: put the line "+
			"-A ufw-before-input -m mark --mark %[1]s -j ACCEPT before the last one, COMMIT, of /etc/ufw/before.rules, and "+
			"-A ufw6-before-input -m mark --mark %[1]s -j ACCEPT before that of /etc/ufw/before6.rules, then ufw reload", m)
	}
	return fmt.Sprintf("nft_mode = mark: the host's firewall has to accept marked packets: "+
		"iptables -I INPUT -m mark --mark %s -j ACCEPT, ip6tables alike, or "+
		"nft insert rule inet filter input 'meta mark & 0x%x == 0x%x accept'", m, m.Mask, m.Value)
}

var ufwEnabled = regexp.MustCompile(`(?mi)^[ \t]*ENABLED[ \t]*=[ \t]*["']?yes`)
