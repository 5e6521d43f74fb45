package firewall

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft/inspect"
)

// examineNAT says what doors that lead elsewhere lack on this host: forwarding,
// rules that let it through, and a route there and back.
func examineNAT(conf *config.Config) (found []event.Event) {
	list := NATDoors(conf)
	if len(list) == 0 {
		return nil
	}
	own := netstate.OwnAddrs()
	for i, d := range list {
		if local(conf, d.Name) {
			list[i].NAT = onHost(d.NAT, own)
		}
	}
	warnings, err := inspect.ExamineNAT(Options(conf, nil), list, own)
	if err != nil {
		found = append(found, event.NotExamined{What: "whether the host's rulesets let NAT through", Err: err})
	}
	for _, d := range conf.Doors {
		for _, t := range targetsOf(d) {
			if local(conf, d.Name) || t.Net.IsSingleIP() && slices.Contains(own, t.Net.Addr()) {
				continue // this host itself
			}
			for _, text := range []string{notForwarded(t), noRoute(t, own, d.SPA.NATMasquerade)} {
				warning := "door " + d.Name + ": " + text
				if text != "" && !slices.Contains(warnings, warning) {
					warnings = append(warnings, warning)
				}
			}
		}
	}
	return append(event.Findings(warnings), found...)
}

// local reports whether doors of a name lead nowhere but to this host itself.
func local(conf *config.Config, name string) bool {
	for _, d := range conf.Doors {
		if d.Name == name && d.SPA != nil && d.SPA.NATOnly != config.NATLocal {
			return false
		}
	}
	return true
}

// onHost returns the targets on this host's own addresses.
func onHost(targets []knock.NATTarget, own []netip.Addr) (list []knock.NATTarget) {
	for _, t := range targets {
		for _, a := range own {
			if t.Net.Contains(a) && !a.IsLoopback() {
				list = append(list, knock.NATTarget{Net: netip.PrefixFrom(a, a.BitLen()), Ports: t.Ports})
			}
		}
	}
	return list
}

// notForwarded says that the kernel forwards nothing of the target's IP version.
func notForwarded(t knock.NATTarget) string {
	name, file := "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"
	if t.Net.Addr().Is6() {
		name, file = "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"
	}
	if text, err := os.ReadFile(file); err != nil || !bytes.Equal(bytes.TrimSpace(text), []byte("0")) {
		return ""
	}
	return fmt.Sprintf("nothing is forwarded to %v: %s is 0; add: sysctl -w %s=1, and the same to /etc/sysctl.d", t.Net, name, name)
}

// noRoute says that there is no route to the target, or that its answers may not
// find back. Of a network, its first host but this one speaks for all; of the whole
// Internet, none does.
func noRoute(t knock.NATTarget, own []netip.Addr, masquerade bool) string {
	if t.Net.Bits() == 0 {
		return ""
	}
	host := t.Net.Masked().Addr()
	for !t.Net.IsSingleIP() && (host == t.Net.Masked().Addr() || slices.Contains(own, host)) {
		host = host.Next()
	}
	way, err := netstate.RouteTo(host)
	switch {
	case err != nil:
		return fmt.Sprintf("there is no way to %v; add a route", t.Net)
	case way.Default && !masquerade:
		return fmt.Sprintf("%v is reached over the interface of the default route, over which knockers come too: its answers may pass this host by; add: nat_masquerade = yes, or there a route back by way of this host", t.Net)
	}
	return ""
}
