package ruleset

import (
	"fmt"
	"slices"

	"knockd/internal/knock"
)

// header writes what a reader of the file must know.
func (n *nft) header() {
	n.comments(
		"Port knocking without a daemon: doors of knockd compiled for nftables.",
		"Load it with nft -f; loaded again, it keeps the doors that are open. Of doors that are",
		"gone it leaves chains and sets, which do nothing. To take them out load it by knockctl",
		"export nftables --apply, or after nft delete table inet "+Table+", which forgets who is let in.",
		"",
	)
	for _, d := range n.doors {
		n.comments(d.describe())
	}
	n.comments("",
		"An accept in this table opens nothing that another table drops: the host's own",
		"firewall, if there is one, must accept the ports that the doors open.",
		fmt.Sprintf("A set holds %d addresses. While a flood of first knocks from ever new", n.setSize()),
		"addresses keeps it full nobody new gets in; after it, within seq_timeout.",
		fmt.Sprintf("Stages are logged to NFLOG group %d: knockctl kernel-log writes them as knockd does.", n.opt.group()),
	)
	n.comments(n.plan.notes()...)
	n.printf("\n")
}

// notes returns the advice and what the ruleset does differently by itself, for
// the comments at its top.
func (p *plan) notes() []string {
	var out []string
	for _, a := range p.advice() {
		out = append(out, "Advice: "+a)
	}
	out = append(out, p.listening()...)
	out = append(out, p.longNames()...)
	if len(out) > 0 {
		out = append([]string{""}, out...)
	}
	return out
}

// longNames says what the log calls doors whose names are too long for it.
func (p *plan) longNames() (out []string) {
	for _, d := range p.doors {
		if name := logName(d.Name); name != encode(d.Name) {
			out = append(out, fmt.Sprintf("[%s] is %s in the log, which has room for %d octets of a name.", printable(d.Name), name, maxLogName))
		}
	}
	return out
}

// listening says on which knock ports programs listen.
func (p *plan) listening() (out []string) {
	for _, s := range steps(p.doors) {
		if slices.Contains(p.opt.Live, s) && !p.opt.Observe {
			out = append(out, fmt.Sprintf("%s/%d: a program listens here, so knocks on it are only watched.", s.Proto, s.Port))
		}
	}
	return out
}

// Notes returns what the comments at the top of a ruleset warn of, a sentence
// each: what weakens the doors, and which knocks are only watched.
func Notes(doors []*Door, opt Options) []string {
	p := barePlan(doors, opt)
	return slices.Concat(p.advice(), p.listening(), p.longNames())
}

// barePlan returns a plan of doors that have neither been checked nor named.
func barePlan(doors []*Door, opt Options) *plan {
	p := &plan{opt: opt}
	for _, d := range doors {
		p.doors = append(p.doors, &door{Door: d})
	}
	return p
}

func (p *plan) advice() []string {
	var out []string
	for _, d := range p.doors {
		if n := d.last(); n < 4 && !d.Strict {
			out = append(out, fmt.Sprintf("[%s] %s: a scan of all ports in random order opens it by chance; four steps or more, or strict = yes, make that rare.", printable(d.Name), plural(n, "step")))
		}
		if rises, _ := knock.ScanOrder(d.Sequence); rises && d.last() > 1 && !d.Strict {
			out = append(out, fmt.Sprintf("[%s] the ports ascend: a plain scan of all ports opens it.", printable(d.Name)))
		}
	}
	return out
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
