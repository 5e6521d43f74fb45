package check

import (
	"fmt"
	"net/netip"
	"slices"

	"knockd/internal/config"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft/inspect"
	"knockd/internal/ruleset"
)

// host looks at the host.
func (l *look) host() {
	services := listenersNow()
	l.report.add(services.adviseSteps(l.Conf, l.doors)...)
	l.report.add(services.adviseTransports(l.Conf)...)
	l.programs()
	rules, opened := l.rules()
	l.report.add(l.adviseRules(rules)...)
	l.report.add(l.adviseIPv6()...)
	l.report.add(services.adviseSSH(l.Conf, opened)...)
}

// programs looks at what the commands run.
func (l *look) programs() {
	p := newPrograms()
	for i, d := range l.Conf.Doors {
		for _, c := range l.commands[i].each() {
			for _, wrong := range p.look(c.script) {
				f := adviseOn(l.Conf, d, c.key, "%s", wrong)
				f.Level = Warning
				l.report.add(f)
			}
		}
	}
}

// rules returns what the commands of doors add to iptables' table filter, and the
// ports that each door opens.
func (l *look) rules() (rules []inspect.Rule, opened [][]knock.PortRange) {
	for i, d := range l.Conf.Doors {
		ports := firewall.MayOpen(d)
		for _, c := range l.commands[i].each() {
			for _, r := range rulesOf(d, c) {
				rules = append(rules, r)
				ports = append(ports, r.Ports...)
			}
		}
		opened = append(opened, ports)
	}
	return rules, opened
}

func rulesOf(d *config.Door, c *command) (rules []inspect.Rule) {
	for _, e := range c.effects {
		r, err := ruleset.ParseRule(shellText(e.call))
		if err == nil && !r.Delete {
			v6 := e.tool == "ip6tables" || e.tool == "ip6tables-nft" || e.tool == "ip6tables-legacy"
			rules = append(rules, inspect.Rule{Door: d.Name, V6: v6, Chain: r.Chain, Append: r.Append, Ports: r.Ports})
		}
	}
	return rules
}

// adviseRules says which rules would let nobody in.
func (l *look) adviseRules(rules []inspect.Rule) (found []Finding) {
	if len(rules) == 0 {
		return nil
	}
	warnings, unseen, err := inspect.ExamineRules(firewall.Options(l.Conf, nil), rules)
	for _, text := range warnings {
		found = append(found, Finding{Warning, text})
	}
	if err != nil {
		unseen = append(unseen, fmt.Sprintf("whether the host's rules let in whom commands accept: %v", err))
	}
	for _, text := range unseen {
		found = append(found, Finding{Unseen, text})
	}
	return found
}

// adviseIPv6 says which doors have iptables alone for knockers over IPv6, on a
// host that has an address of it.
func (l *look) adviseIPv6() (advice []Finding) {
	six := func(a netip.Addr) bool { return a.Is6() && a.IsGlobalUnicast() }
	if !slices.ContainsFunc(netstate.OwnAddrs(), six) {
		return nil
	}
	for i, d := range l.Conf.Doors {
		none := len(d.Allow) > 0 && !slices.ContainsFunc(d.Allow, func(p netip.Prefix) bool { return p.Addr().Is6() })
		start := l.commands[i].start6
		if none || d.Target.Is4() || d.SPA != nil && !d.SPA.IPv6 || start == nil || len(start.effects) == 0 {
			continue
		}
		if !slices.ContainsFunc(start.effects, func(e effect) bool { return !e.iptables4() }) {
			advice = append(advice, adviseOn(l.Conf, d, start.key, "iptables takes no IPv6 address, and this host has one: "+
				"say start_command_6 with ip6tables, or start_command_6 = with nothing behind it"))
		}
	}
	return advice
}

// iptables4 reports whether a rule is for IPv4 alone.
func (e effect) iptables4() bool {
	return e.tool == "iptables" || e.tool == "iptables-nft" || e.tool == "iptables-legacy"
}
