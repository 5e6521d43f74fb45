package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/nft/inspect"
	"knockd/internal/profile"
)

// Report says in five lines what is done and what is not; below the third stand
// the rules that are still to be added, if there are any. Others is how many
// warnings there are that Says does not hold for, below 0 if nobody has looked.
func (p *Plan) Report(wrote string, others int) string {
	rescue := ""
	if p.Rescue != "" {
		rescue = "; needs no knock of " + p.Rescue
	}
	lines := []string{
		fmt.Sprintf("%s: door [%s] opens %s for %.0f seconds to whoever knocks right; its sequence is secret", wrote, p.Name, p.opens(), openTime.Seconds()),
		"listens on " + p.where() + rescue,
		p.firewall(),
	}
	for _, rule := range p.Rules() {
		lines = append(lines, "    "+rule)
	}
	var untouched []string
	if p.Exists {
		untouched = append(untouched, p.File)
	}
	if p.host.Firewall != None || p.host.Unexamined {
		untouched = append(untouched, "the firewall's rules")
	}
	untouched = append(untouched, "the service and its sessions")
	checked := "no faults, warnings or advice"
	switch {
	case others < 0:
		checked = "by itself it has " + checked
	case others > 0:
		checked = fmt.Sprintf("no faults; %s, which knockd -t prints", counted(others, "warning or advice", "warnings and advice"))
	}
	lines = append(lines,
		"not touched: "+strings.Join(untouched, ", ")+"; nothing is started, and nothing closed yet",
		"checked as by knockd -t: "+checked)
	return strings.Join(lines, "\n") + "\n"
}

// Says reports whether a warning of knockd -t is one that the report says in
// other words: of the rule that the firewall lacks, and of rules of
// iptables-legacy, which only init can examine.
func (p *Plan) Says(warning string) bool {
	switch {
	case strings.HasPrefix(warning, "door "+p.Name+": ") && strings.Contains(warning, p.opens()):
		return p.waits() || p.host.Unexamined
	case strings.HasPrefix(warning, "nft_mode = mark: "):
		return p.Mode == config.NftMark
	case strings.HasPrefix(warning, "rules of ip") && strings.HasSuffix(warning, " were not examined"):
		return !p.host.Unexamined
	}
	return false
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// where names what is listened on.
func (p *Plan) where() string {
	var names []string
	for _, name := range p.interfaces {
		switch real := p.host.realName(name); {
		case name == config.AnyInterface:
			name = "all interfaces"
		case name == config.DefaultRoute && real == name:
			name = "the interface of the default route, when there is one"
		case name == config.DefaultRoute:
			name = real + ", the interface of the default route"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", and on ")
}

// firewall says what the host's firewall does with the port today, and what the
// door makes of it.
func (p *Plan) firewall() string {
	name := "the firewall (" + string(p.host.Firewall) + ")"
	dropper := "the firewall (" + string(p.dropper()) + ")"
	best, worst := p.host.access()
	reach := fmt.Sprintf("everybody reach %s today", p.opens())
	if best == inspect.Some {
		reach = fmt.Sprintf("some reach %s today, by address, interface or rate", p.opens())
	}
	const guard = "the guard will close it, and a knock open it"
	switch {
	case p.host.Unexamined:
		return fmt.Sprintf("what the firewall does with %s is not known: nft_mode = %s, as asked for", p.opens(), p.Mode)
	case p.Mode == config.NftMark && best != inspect.Nobody && p.host.Firewall == None:
		return fmt.Sprintf("no firewall, so that everybody reaches %s, knock or not: nft_mode = mark closes nothing; drop it, and accept what bears the mark", p.opens())
	case p.Mode == config.NftMark && best != inspect.Nobody:
		return fmt.Sprintf("%s lets %s, knock or not: nft_mode = mark closes nothing; drop it there, and add before", name, reach)
	case p.Mode == config.NftMark:
		return fmt.Sprintf("%s drops %s: nft_mode = mark, and the door opens nothing before this is added there", dropper, p.opens())
	case best == inspect.Nobody && p.dropper() == Firewalld:
		return fmt.Sprintf("%s drops %s and keeps no rule for marks: nft_mode = guard, and the door opens nothing before, once the guard has closed it, you say", dropper, p.opens())
	case best == inspect.Nobody:
		return fmt.Sprintf("%s drops %s: nft_mode = guard, and the door opens nothing before, once the guard has closed it, you say", dropper, p.opens())
	case p.host.Firewall == None:
		return fmt.Sprintf("no firewall, so that everybody reaches %s today: %s", p.opens(), guard)
	case worst == inspect.Nobody:
		return fmt.Sprintf("%s lets %s over %s alone: %s; over %s it stays closed", name, reach, p.versions(true), guard, p.versions(false))
	case best == inspect.Some:
		return fmt.Sprintf("%s lets %s: the guard will close it to them too, and a knock open it to them alone", name, reach)
	}
	return fmt.Sprintf("%s lets %s: %s", name, reach, guard)
}

// versions names those over which the port can be reached, or cannot.
func (p *Plan) versions(reached bool) string {
	var names []string
	has := p.host.addressed()
	for i, name := range []string{"IPv4", "IPv6"} {
		if has[i] && (p.host.Reach[i].Access != inspect.Nobody) == reached {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// Rules returns the commands by which the host's firewall gets the rule without
// which the door opens nothing; none if it needs none.
func (p *Plan) Rules() (rules []string) {
	if !p.waits() {
		return nil
	}
	port := knock.PortRange{Proto: knock.TCP, First: p.Port, Last: p.Port}
	for i, r := range p.host.Reach {
		var rule []string
		if p.Mode == config.NftMark {
			rule = markRule(p.host.dropper(r), r, i)
		} else {
			rule = portRule(p.host.dropper(r), r, port, i)
		}
		for _, line := range rule {
			if !slices.Contains(rules, line) {
				rules = append(rules, line)
			}
		}
	}
	byUFW := func(r Reach) bool { return p.host.dropper(r) == UFW }
	if p.Mode == config.NftMark && slices.ContainsFunc(p.host.Reach[:], byUFW) {
		rules = append(rules, "ufw reload")
	}
	return rules
}

// markRule accepts what bears the mark; nothing if nothing drops it.
func markRule(f Firewall, r Reach, version int) []string {
	const match = "-m mark --mark "
	mark := config.DefaultNftMark
	switch tool := iptables(r, version); {
	case f == UFW:
		six := []string{"", "6"}[version]
		return []string{fmt.Sprintf("sed -i '/^# End required lines/i -A ufw%s-before-input %s%v -j ACCEPT' /etc/ufw/before%s.rules", six, match, mark, six)}
	case r.Access != inspect.Nobody:
		return nil
	case tool != "":
		return []string{fmt.Sprintf("%s -I %s %s%v -j ACCEPT", tool, r.Chain.Name, match, mark)}
	}
	return []string{fmt.Sprintf("nft insert rule %v %s 'meta mark & %#x == %#x accept'", r.Chain.Table, r.Chain.Name, mark.Mask, mark.Value)}
}

// portRule accepts the port itself, for the guard to close.
func portRule(f Firewall, r Reach, port knock.PortRange, version int) []string {
	switch tool := iptables(r, version); {
	case f == Firewalld:
		return []string{fmt.Sprintf("firewall-cmd --add-port=%d/tcp    # and, to keep it, with --permanent too", port.First)}
	case f == UFW:
		return []string{fmt.Sprintf("ufw allow %d/tcp", port.First)}
	case r.Access != inspect.Nobody:
		return nil
	case tool != "":
		return []string{fmt.Sprintf("%s -I %s -p tcp --dport %d -j ACCEPT", tool, r.Chain.Name, port.First)}
	}
	return []string{fmt.Sprintf("nft insert rule %v %s tcp dport %d accept", r.Chain.Table, r.Chain.Name, port.First)}
}

// iptables returns the program whose chain drops the port, "" if it is none of
// iptables.
func iptables(r Reach, version int) string {
	switch tool := nft.Iptables(r.Chain.Table); {
	case r.Legacy:
		return []string{"iptables-legacy", "ip6tables-legacy"}[version]
	default:
		return tool
	}
}

// server is by what knockers reach the host, and whether that is only a guess.
func (p *Plan) server() (name string, guess bool) {
	if p.Server != "" {
		return p.Server, false
	}
	a := p.host.address()
	switch {
	case !a.IsValid() && hostName.MatchString(p.host.Name):
		return p.host.Name, true
	case !a.IsValid():
		return "HOST", true
	}
	return a.String(), a.IsPrivate()
}

// hostName is a name or address that means the same to a shell and in all files.
var hostName = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9_.:-]*$`)

// IsHostName reports whether a name may be an Ask's Server.
func IsHostName(name string) bool { return hostName.MatchString(name) }

// isSSH reports whether ssh is what goes through the door, as far as its name
// and port tell.
func (p *Plan) isSSH() bool { return p.Port == 22 || strings.Contains(strings.ToLower(p.Name), "ssh") }

// Knock returns the command that opens the door.
func (p *Plan) Knock() string {
	server, _ := p.server()
	return fmt.Sprintf("knock -w %s %s %s", p.opens(), server, strings.Join(p.ports(), " "))
}

// ssh returns the command that goes through the door.
func (p *Plan) ssh() string {
	server, _ := p.server()
	if p.Port != 22 {
		return fmt.Sprintf("ssh -p %d %s", p.Port, server)
	}
	return "ssh " + server
}

// Client returns the knocker's half: what belongs into which of its files.
func (p *Plan) Client() string {
	server, guess := p.server()
	name := p.profileName()
	var b strings.Builder
	b.WriteString("The client's half. It is secret: whoever reads the sequence can knock.\n")
	if guess {
		fmt.Fprintf(&b, "(%s may not be what others reach this host by: --server NAME puts it right.)\n", server)
	}
	fmt.Fprintf(&b, "\nInto ~/.config/knock/config, mode 0600:\n\n[%s]\nhost     = %s\nsequence = %s\nwait     = %s\n",
		name, server, strings.Join(p.ports(), ","), p.opens())
	then := ""
	if p.isSSH() {
		fmt.Fprintf(&b, "\nInto ~/.ssh/config, so that plain ssh %s knocks (knock ssh-config %s prints it too):\n\n%s",
			name, name, profile.Profile{Host: server, Wait: p.Port}.SSHConfig(name, ""))
		then = " && " + p.ssh()
	}
	fmt.Fprintf(&b, "\nOr by hand:\n\n%s%s\n", p.Knock(), then)
	return b.String()
}

// plain is a name that means the same to a shell and in all files.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// profileName returns a name for the host in the client's files.
func (p *Plan) profileName() string {
	for _, name := range []string{p.Server, p.host.Name} {
		name, _, _ = strings.Cut(name, ".")
		if plain.MatchString(name) && strings.Trim(name, "0123456789") != "" {
			return name
		}
	}
	return "server"
}
