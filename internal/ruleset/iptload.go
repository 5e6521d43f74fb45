package ruleset

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// iptables is the Backend of chains in a table of iptables or ip6tables.
type iptables struct{}

func (iptables) Name() string { return "iptables" }

func (iptables) Check(Options) error { return nil }

func (iptables) Compile(doors []*Door, opt Options) (text []byte, notes []string, err error) {
	text, err = Iptables(doors, opt)
	return text, IptablesNotes(doors, opt), err
}

// program returns iptables or ip6tables.
func program(opt Options) string {
	if opt.IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// hookOf returns the chain of a table that calls ours.
func hookOf(table string) string {
	if table == "mangle" {
		return "PREROUTING"
	}
	return "INPUT"
}

// ourJump returns the rule that calls our entry chain, as iptables-save writes
// it.
func ourJump(table string) string { return "-A " + hookOf(table) + " -j " + EntryChain }

// Load needs the programs iptables-save and iptables-restore, or those of IPv6.
func (iptables) Load(ctx context.Context, h Host, opt Options, text string) error {
	if !opt.IPv6 {
		h.Say("this covers IPv4 alone; run it with --ipv6 too, or the ports stay open over IPv6")
	}
	table, other := "filter", "mangle"
	if opt.Prerouting {
		table, other = other, table
	}
	old, err := currentChains(ctx, h.Run, opt, table)
	if err != nil {
		return err
	}
	if old.calls(table) > 0 {
		text = strings.Replace(text, fmt.Sprintf("-I %s 1 -j %s\n", hookOf(table), EntryChain), "", 1)
	}
	out := old.goingOut(table, text)
	text = strings.Replace(text, "\nCOMMIT\n", "\n"+deletes(out)+old.stale(text)+"COMMIT\n", 1)
	for _, check := range [][]string{{waiting, "--test", "--noflush"}, {waiting, "--noflush"}} {
		if _, err := h.Run(ctx, []byte(text), program(opt)+"-restore", check...); err != nil {
			return blockedBy(err, table, out)
		}
	}
	h.sayTakenOut(table, out)
	_, err = removeFrom(ctx, h, opt, other)
	return err
}

// Remove looks into both tables: the hook may have been another one.
func (iptables) Remove(ctx context.Context, h Host, opt Options) (found bool, err error) {
	for _, table := range []string{"filter", "mangle"} {
		one, err := removeFrom(ctx, h, opt, table)
		if err != nil {
			return true, err
		}
		found = found || one
	}
	return found, nil
}

// removeFrom takes our chains out of a table, and all that leads there.
func removeFrom(ctx context.Context, h Host, opt Options, table string) (found bool, err error) {
	old, err := currentChains(ctx, h.Run, opt, table)
	if err != nil || len(old.chains) == 0 {
		return false, err
	}
	text := "*" + table + "\n" + deletes(old.jumps) + old.stale("") + "COMMIT\n"
	if _, err = h.Run(ctx, []byte(text), program(opt)+"-restore", waiting, "--noflush"); err != nil {
		return true, blockedBy(err, table, old.jumps)
	}
	h.sayTakenOut(table, old.jumps)
	return true, nil
}

// waiting is how long iptables-legacy waits for others that change its rules.
const waiting = "--wait=10"

// deletes returns the rules that delete others.
func deletes(rules []string) string {
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(strings.Replace(r, "-A ", "-D ", 1) + "\n")
	}
	return b.String()
}

// others returns the rules that are not our own jump.
func others(table string, rules []string) []string {
	return slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == ourJump(table) })
}

// sayTakenOut names the rules that somebody else has made.
func (h Host) sayTakenOut(table string, rules []string) {
	for _, r := range others(table, rules) {
		h.Say(fmt.Sprintf("taken out, since it led to a chain that is gone: iptables -t %s %s", table, r))
	}
}

// blockedBy names the rules that may be why our chains cannot be taken out.
func blockedBy(err error, table string, rules []string) error {
	if foreign := others(table, rules); len(foreign) > 0 {
		return &hintError{err, fmt.Sprintf("these rules of the table %s lead to what is to go; delete them: %s", table, strings.Join(foreign, "; "))}
	}
	return err
}

// chainsInKernel is what a table has of ours.
type chainsInKernel struct {
	chains []string // those that the entry chain leads to, itself first
	jumps  []string // the rules of other chains that lead to them
}

// calls returns how often the hook's chain calls ours.
func (k *chainsInKernel) calls(table string) (n int) {
	for _, r := range k.jumps {
		if r == ourJump(table) {
			n++
		}
	}
	return n
}

// goingOut returns what leads to our chains and has to go when a text is
// loaded: our jump, where it is there twice, and what leads to chains that the
// text does not declare.
func (k *chainsInKernel) goingOut(table, text string) (out []string) {
	more := k.calls(table) - 1
	for _, r := range k.jumps {
		switch {
		case r == ourJump(table) && more > 0:
			more--
			out = append(out, r)
		case r != ourJump(table) && !declares(text, targetOf(r)):
			out = append(out, r)
		}
	}
	return out
}

func declares(text, chain string) bool { return strings.Contains(text, "\n:"+chain+" ") }

// ourName matches the names of our chains: somebody may have added a rule to
// them that leads to a chain of his own.
var ourName = regexp.MustCompile(`^` + EntryChain + `(-|$)|-(STEP|START|STRAY|RESET|INPUT[A-Z0-9]*)$`)

// currentChains finds our chains in a table. A chain of the entry's name that
// is not ours is an error.
func currentChains(ctx context.Context, run Runner, opt Options, table string) (*chainsInKernel, error) {
	text, err := run(ctx, nil, program(opt)+"-save", "-t", table)
	if err != nil {
		return nil, err
	}
	k := &chainsInKernel{}
	text = "\n" + text
	if !declares(text, EntryChain) {
		return k, nil
	}
	ours := false
	var rules []string
	targets := map[string][]string{}
	for line := range strings.Lines(text) {
		rule := strings.TrimSpace(line)
		f := strings.Fields(rule)
		if len(f) < 2 || f[0] != "-A" {
			continue
		}
		ours = ours || f[1] == EntryChain && strings.Contains(rule, EntryComment)
		if t := targetOf(rule); declares(text, t) {
			targets[f[1]] = append(targets[f[1]], t)
			rules = append(rules, rule)
		}
	}
	if !ours {
		return nil, &hintError{errors.New("the chain " + EntryChain + " is not knockctl's: left as it is"), "rename it, or load the printed file by hand"}
	}
	k.chains = []string{EntryChain}
	for i := 0; i < len(k.chains); i++ {
		for _, t := range targets[k.chains[i]] {
			if ourName.MatchString(t) && !slices.Contains(k.chains, t) {
				k.chains = append(k.chains, t)
			}
		}
	}
	for _, r := range rules {
		if !slices.Contains(k.chains, strings.Fields(r)[1]) && slices.Contains(k.chains, targetOf(r)) {
			k.jumps = append(k.jumps, r)
		}
	}
	return k, nil
}

// targetOf returns what a rule jumps or goes to, "" if it does neither. What
// stands in quotes, or is a comment, is a text.
func targetOf(rule string) string {
	quoted, escaped, was := false, false, ""
	for _, word := range strings.Fields(rule) {
		if !quoted && (was == "-j" || was == "-g") {
			return word
		}
		text := quoted || was == "--comment"
		for _, c := range word {
			quoted = quoted != (c == '"' && !escaped)
			escaped = c == '\\' && !escaped
		}
		if was = word; text || quoted {
			was = ""
		}
	}
	return ""
}

// stale returns the rules that delete the chains which a text does not declare.
func (k *chainsInKernel) stale(text string) string {
	var flush, remove strings.Builder
	for _, c := range k.chains {
		if !declares(text, c) {
			fmt.Fprintf(&flush, "-F %s\n", c)
			fmt.Fprintf(&remove, "-X %s\n", c)
		}
	}
	return flush.String() + remove.String()
}
