package check

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// effect is what a call does to a firewall, if it is a usual one.
type effect struct {
	tool string   // the program, without its directory
	undo bool     // it takes away what another one has added
	ends bool     // the firewall itself takes it away after a time, or may
	what []string // what it is about, so that what undoes it has the same
	call []string // the words, of which the first is the program as written
	// inverse is a call that undoes it; nil if none can be made from the words.
	inverse []string
}

// effectOf returns what a call does; false if that is not known.
func effectOf(c call) (e effect, ok bool) {
	var words []string
	for _, w := range afterWrappers(c.words) {
		if !w.fixed {
			return e, false
		}
		words = append(words, w.text)
	}
	e, ok = effectOfWords(words)
	if ok && !e.undo && e.inverse != nil {
		if o, known := effectOfWords(e.inverse); !known || !o.undoes(e) {
			e.inverse = nil
		}
	}
	return e, ok
}

func effectOfWords(words []string) (e effect, ok bool) {
	if len(words) == 0 {
		return e, false
	}
	e.tool, e.call = path.Base(words[0]), words
	switch e.tool {
	case "iptables", "ip6tables", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy":
		ok = e.iptables(words[1:])
	case "ufw":
		ok = e.ufw(words[1:])
	case "firewall-cmd":
		ok = e.firewalld(words[1:])
	case "nft":
		ok = e.nft(words[1:])
	case "ipset":
		ok = e.ipset(words[1:])
	}
	return e, ok
}

// undoes reports whether an effect takes away what another one has added.
func (e effect) undoes(o effect) bool {
	return e.undo && !o.undo && e.tool == o.tool && slices.Equal(e.what, o.what)
}

// iptablesShort are the short names of iptables' options.
var iptablesShort = map[string]string{
	"--append": "-A", "--insert": "-I", "--delete": "-D", "--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d",
	"--protocol": "-p", "--proto": "-p", "--jump": "-j", "--goto": "-g", "--in-interface": "-i", "--out-interface": "-o",
	"--match": "-m", "--table": "-t", "--wait": "-w", "--wait-interval": "-W", "--destination-port": "--dport",
	"--destination-ports": "--dports", "--source-port": "--sport", "--source-ports": "--sports", "--verbose": "-v", "--numeric": "-n",
}

// iptables reads a rule that is added or deleted. It is about its table, chain
// and options, in any order.
func (e *effect) iptables(words []string) bool {
	words = equalsSplit(words)
	chain, table := "", "filter"
	for rest := words; len(rest) > 0; {
		before := len(words) - len(rest)
		var name, value string
		name, value, rest = iptablesOption(rest)
		switch name {
		case "-A", "-I", "-D":
			target, number, numbered := strings.Cut(value, " ")
			if target == "" || chain != "" || numbered && (name == "-D" || strings.Trim(number, "0123456789") != "") {
				return false
			}
			chain, e.undo = target, name == "-D"
			e.inverse = slices.Concat(e.call[:1], words[:before], []string{"-D", chain}, rest)
		case "-t":
			table = value
		case "-w", "-W", "-v", "-n", "-4", "-6":
		case "-m":
			if value != "tcp" && value != "udp" { // -p brings them with it
				e.what = append(e.what, "-m "+value)
			}
		case "-s":
			e.what = append(e.what, "-s "+strings.TrimSuffix(strings.TrimSuffix(value, "/32"), "/128"))
		case "-p":
			e.what = append(e.what, "-p "+strings.ToLower(value))
		default:
			e.what = append(e.what, strings.TrimSpace(name+" "+value))
		}
	}
	slices.Sort(e.what)
	e.what = append([]string{"chain " + chain + " of table " + table}, e.what...)
	return chain != ""
}

// equalsSplit makes two words of --option=value, as getopt_long does.
func equalsSplit(words []string) (split []string) {
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(w, "--") {
			split = append(split, name, value)
		} else {
			split = append(split, w)
		}
	}
	return split
}

// iptablesOption takes an option, with the "!" before it, and its values.
func iptablesOption(words []string) (name, value string, rest []string) {
	n := 1
	for n < len(words) && (words[n-1] == "!" || words[n] != "!" && !strings.HasPrefix(words[n], "-")) {
		n++
	}
	name = words[0]
	if short, ok := iptablesShort[name]; ok {
		name = short
	}
	return name, strings.Join(words[1:n], " "), words[n:]
}

// ufw reads a rule that is added, inserted or deleted; not by its number.
func (e *effect) ufw(words []string) bool {
	verbs := []string{"allow", "limit", "deny", "reject"}
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--force":
		case w == "delete" && !e.undo:
			e.undo = true
		case (w == "insert" || w == "comment") && i+1 < len(words):
			i++ // the number, or the text
		case w == "prepend" || w == "rule":
		default:
			e.what = append(e.what, w)
		}
	}
	verb := slices.IndexFunc(e.what, func(w string) bool { return slices.Contains(verbs, w) })
	if verb < 0 || verb > 1 || verb == 1 && e.what[0] != "route" {
		return false
	}
	e.inverse = slices.Concat([]string{e.call[0]}, e.what[:verb], []string{"delete"}, e.what[verb:])
	return true
}

// firewalld reads what firewall-cmd adds or removes.
func (e *effect) firewalld(words []string) bool {
	words = equalsSplit(words)
	changes := 0
	e.inverse = e.call[:1:1]
	for i := 0; i < len(words); i++ {
		option, value := words[i], ""
		if !strings.HasPrefix(option, "-") {
			return false
		}
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			i++
			value = "=" + words[i]
		}
		switch {
		case option == "--timeout":
			e.ends = value != "=0"
			continue
		case option == "-q" || option == "--quiet":
			continue
		case strings.HasPrefix(option, "--add-"):
			e.inverse = append(e.inverse, "--remove-"+option[len("--add-"):]+value)
			e.what = append(e.what, option[len("--add-"):]+value)
			changes++
			continue
		case strings.HasPrefix(option, "--remove-"):
			e.undo = true
			e.what = append(e.what, option[len("--remove-"):]+value)
			changes++
			continue
		}
		e.inverse = append(e.inverse, option+value)
		e.what = append(e.what, option+value)
	}
	slices.Sort(e.what)
	return changes == 1
}

var (
	nftElement = regexp.MustCompile(`^(add|create|delete|destroy) element (?:(ip|ip6|inet) )?(\S+) (\S+) ?\{ ?(.*?) ?\}$`)
	nftRule    = regexp.MustCompile(`^(add|insert) rule `)
	nftOptions = regexp.MustCompile(` (timeout|expires) \S+| comment \S+`)
)

// nft reads elements that are added or deleted. A rule can only be deleted by its
// handle, so that nothing undoes it that could be known here.
func (e *effect) nft(words []string) bool {
	text := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
	if m := nftElement.FindStringSubmatch(text); m != nil && !strings.Contains(m[5], ",") {
		family, element := m[2], m[5]
		if family == "" {
			family = "ip"
		}
		bare := nftOptions.ReplaceAllString(element, "")
		e.undo = m[1] == "delete" || m[1] == "destroy"
		e.ends = strings.Contains(element, " timeout ")
		e.what = []string{"element " + bare, "set " + m[4] + " of table " + family + " " + m[3]}
		e.inverse = []string{e.call[0], "delete", "element", family, m[3], m[4], "{", bare, "}"}
		return true
	}
	e.what = []string{text}
	return nftRule.MatchString(text)
}

// ipset reads an entry that is added or deleted. That its set may take it away
// after a time is not seen here.
func (e *effect) ipset(words []string) bool {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool {
		return slices.Contains([]string{"-!", "-exist", "--exist", "-q", "-quiet", "--quiet"}, w)
	})
	if len(words) < 3 {
		return false
	}
	switch words[0] {
	case "add", "-A", "--add":
	case "del", "-D", "--del":
		e.undo = true
	default:
		return false
	}
	e.ends = true
	e.what = []string{"entry " + words[2], "set " + words[1]}
	e.inverse = []string{e.call[0], "del", words[1], words[2]}
	return true
}
