package ruleset

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"knockd/internal/knock"
)

// Rule is what an iptables command that opens ports to a knocker adds or deletes.
type Rule struct {
	Delete bool
	Append bool // at the end of the chain
	Chain  string
	Ports  []knock.PortRange
}

// ParseRule reads a usual iptables command, such as
//
//	/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
//
// The error says why it is none.
func ParseRule(command string) (Rule, error) {
	r, err := parseRule(command)
	return Rule{r.delete, r.atEnd, r.chain, r.ports}, err
}

// rule is the iptables rule that a usual command adds or deletes.
type rule struct {
	delete     bool
	atEnd      bool
	chain      string
	ports      []knock.PortRange
	in         string // the only interface, as iptables writes it; "" for all
	assumedTCP bool
	rest       string // all else that makes two rules equal
}

// same reports whether two commands are about one rule.
func (r rule) same(o rule) bool { return slices.Equal(r.ports, o.ports) && r.rest == o.rest }

// parseRule is ParseRule.
func parseRule(command string) (rule, error) {
	if strings.ContainsAny(command, ";&|<>$`\\\"'()*?#\n") {
		return rule{}, errors.New("is more than one plain iptables command")
	}
	words := strings.Fields(command)
	if len(words) > 0 && words[0] == "exec" {
		words = words[1:]
	}
	if len(words) == 0 || !slices.Contains([]string{"iptables", "ip6tables", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"}, path.Base(words[0])) {
		return rule{}, errors.New("is no iptables command")
	}
	p := ruleParser{words: words[1:]}
	return p.parse()
}

// ruleParser reads the words after the program.
type ruleParser struct {
	words []string
	rule  rule
	rest  []string
	proto knock.Protocol
	spec  string // what follows --dport
	from  bool   // -s %IP%
	chain string
	jump  string
}

// parse reads options that it understands, and refuses all others.
func (p *ruleParser) parse() (rule, error) {
	for len(p.words) > 0 {
		if err := p.option(); err != nil {
			return rule{}, err
		}
	}
	switch {
	case p.chain == "":
		return rule{}, errors.New("adds no rule (-A) and deletes none (-D)")
	case !p.rule.delete && (p.chain == "FORWARD" || p.chain == "OUTPUT"):
		return rule{}, fmt.Errorf("is about packets that are not for this host (%s)", p.chain)
	case p.jump != "ACCEPT":
		return rule{}, errors.New("does not end in -j ACCEPT")
	case !p.from:
		return rule{}, errors.New("does not open to the knocker alone (-s %IP%)")
	case p.spec == "":
		return rule{}, errors.New("names no port (--dport)")
	}
	if p.proto == 0 {
		p.proto, p.rule.assumedTCP = knock.TCP, true
	}
	if err := p.ports(); err != nil {
		return rule{}, err
	}
	p.rule.chain = p.chain
	slices.Sort(p.rest)
	p.rule.rest = p.chain + " " + strings.Join(p.rest, " ")
	return p.rule, nil
}

// next takes one word.
func (p *ruleParser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

// option reads one option with what belongs to it.
func (p *ruleParser) option() error {
	switch w := p.next(); w {
	case "-A", "--append", "-D", "--delete":
		p.rule.delete = w == "-D" || w == "--delete"
		p.rule.atEnd = !p.rule.delete
		p.chain = p.next()
	case "-I", "--insert":
		p.chain = p.next()
		if len(p.words) > 0 && digits(p.words[0]) {
			p.next()
		}
	case "-t", "--table":
		if t := p.next(); t != "filter" {
			return fmt.Errorf("is about the table %q", t)
		}
	case "-s", "--source", "--src":
		src := p.next()
		p.from = src == "%IP%" || src == "%IP%/32" || src == "%IP%/128"
	case "-p", "--protocol", "--proto":
		return p.protocol(p.next())
	case "--dport", "--destination-port", "--dports", "--destination-ports":
		p.spec = p.next()
	case "-j", "--jump":
		p.jump = p.next()
	case "-w", "--wait", "-W":
		if len(p.words) > 0 && digits(p.words[0]) {
			p.next()
		}
	case "-4", "-6", "-v", "-n", "--syn": // say nothing about what opens
	case "-m", "--match":
		return p.match(p.next())
	case "--state", "--ctstate":
		// Established connections pass in any case.
		if !slices.Contains(strings.Split(p.next(), ","), "NEW") {
			return errors.New("lets in no new connection")
		}
	case "-i", "--in-interface":
		return p.in(p.next())
	case "--comment":
		p.rest = append(p.rest, w, p.next())
	default:
		return fmt.Errorf("has an option that is not understood: %s", w)
	}
	return nil
}

// match takes the name of a match: of those that say nothing about what opens,
// beside their options.
func (p *ruleParser) match(name string) error {
	if !slices.Contains([]string{"tcp", "udp", "multiport", "state", "conntrack", "comment"}, name) {
		return fmt.Errorf("has a match that is not understood: -m %s", name)
	}
	return nil
}

// in takes the name of an interface; + at its end stands for any ending.
func (p *ruleParser) in(name string) error {
	if name == "" || len(name) > 15 || strings.ContainsAny(name, "/!") {
		return fmt.Errorf("names an interface that cannot be one: %q", name)
	}
	if name != "+" { // that is all
		p.rule.in = name
	}
	p.rest = append(p.rest, "-i", name)
	return nil
}

func (p *ruleParser) protocol(name string) error {
	switch strings.ToLower(name) {
	case "tcp", "6":
		p.proto = knock.TCP
	case "udp", "17":
		p.proto = knock.UDP
	default:
		return fmt.Errorf("is about the protocol %q", name)
	}
	return nil
}

// services are the names of ports that such commands use.
var services = map[string]uint16{"ssh": 22, "http": 80, "https": 443, "domain": 53, "smtp": 25, "imaps": 993, "openvpn": 1194}

// ports reads "22", "ssh", "8000:8010" and lists of them.
func (p *ruleParser) ports() error {
	for _, item := range strings.Split(p.spec, ",") {
		first, last, isRange := strings.Cut(item, ":")
		low, ok := port(first)
		top, topOK := low, ok
		if isRange {
			top, topOK = port(last)
		}
		if !ok || !topOK || low > top {
			return fmt.Errorf("names a port that is not understood: %q", item)
		}
		p.rule.ports = append(p.rule.ports, knock.PortRange{Proto: p.proto, First: low, Last: top})
	}
	return nil
}

func port(s string) (uint16, bool) {
	if n, ok := services[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
