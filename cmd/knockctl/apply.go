package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"knockd/internal/cli"
	"knockd/internal/ruleset"
)

// load checks the ruleset and puts it into the kernel, in place of an older
// one. What becomes of both happens in one transaction.
func (o *exportOptions) load(ctx context.Context, w *world, text []byte) error {
	if o.kind == kindNft {
		return loadNft(ctx, w, string(text))
	}
	if !o.ipv6 {
		fmt.Fprintln(w.stderr, "knockctl: this covers IPv4 alone; run it with --ipv6 too, or the ports stay open over IPv6")
	}
	return o.loadIptables(ctx, w, string(text))
}

// takeOut removes what load has put into the kernel.
func (o *exportOptions) takeOut(ctx context.Context, w *world) error {
	if o.kind == kindIpt {
		found := false
		for _, table := range []string{"filter", "mangle"} {
			one, err := o.removeFrom(ctx, w, table)
			if err != nil {
				return err
			}
			found = found || one
		}
		if !found {
			fmt.Fprintln(w.stderr, "knockctl: nothing to remove")
		}
		return nil
	}
	old, err := currentTable(ctx, w)
	if err != nil {
		return err
	}
	if old == "" {
		fmt.Fprintln(w.stderr, "knockctl: nothing to remove")
		return nil
	}
	_, err = w.run(ctx, []byte("delete table inet "+ruleset.Table+"\n"), "nft", "-f", "-")
	return err
}

// currentTable returns the text of our table in the kernel, empty if there is
// none. One of the same name that is not ours is an error.
func currentTable(ctx context.Context, w *world) (string, error) {
	tables, err := w.run(ctx, nil, "nft", "list", "tables")
	if err != nil || !slices.Contains(strings.Split(tables, "\n"), "table inet "+ruleset.Table) {
		return "", err
	}
	text, err := w.run(ctx, nil, "nft", "list", "table", "inet", ruleset.Table)
	if err == nil && !strings.Contains(text, "chain k_guard {") {
		err = fmt.Errorf("the table inet %s is not knockctl's: left as it is", ruleset.Table)
	}
	return text, err
}

// object finds the sets and chains in a ruleset's text.
var object = regexp.MustCompile(`(?m)^\s*(set|chain) (\S+) \{`)

func loadNft(ctx context.Context, w *world, text string) error {
	old, err := currentTable(ctx, w)
	if err != nil {
		return err
	}
	text += staleObjects(old, text)
	if _, err := w.run(ctx, []byte(text), "nft", "-c", "-f", "-"); err != nil {
		return fmt.Errorf("check the ruleset: %w", err)
	}
	_, err = w.run(ctx, []byte(text), "nft", "-f", "-")
	return err
}

// staleObjects returns the commands that delete what only the old table has:
// doors that are gone take those whom they let in with them.
func staleObjects(old, text string) string {
	keep := map[string]bool{}
	for _, m := range object.FindAllStringSubmatch(text, -1) {
		keep[m[1]+m[2]] = true
	}
	var b strings.Builder
	for _, kind := range []string{"chain", "set"} {
		for _, m := range object.FindAllStringSubmatch(old, -1) {
			if m[1] == kind && !keep[kind+m[2]] {
				fmt.Fprintf(&b, "delete %s inet %s %s\n", kind, ruleset.Table, m[2])
			}
		}
	}
	return b.String()
}

// program is iptables or ip6tables.
func (o *exportOptions) program() string {
	if o.ipv6 {
		return "ip6tables"
	}
	return "iptables"
}

// hookOf says which chain of a table calls ours.
func hookOf(table string) string {
	if table == "mangle" {
		return "PREROUTING"
	}
	return "INPUT"
}

func (o *exportOptions) loadIptables(ctx context.Context, w *world, text string) error {
	table, other := "filter", "mangle"
	if o.hook == "prerouting" {
		table, other = other, table
	}
	old, err := o.currentChains(ctx, w, table)
	if err != nil {
		return err
	}
	if old.jump {
		text = strings.Replace(text, fmt.Sprintf("-I %s 1 -j %s\n", hookOf(table), ruleset.EntryChain), "", 1)
	}
	text = strings.Replace(text, "\nCOMMIT\n", "\n"+old.stale(text)+"COMMIT\n", 1)
	for _, check := range [][]string{{"--test", "--noflush"}, {"--noflush"}} {
		if _, err := w.run(ctx, []byte(text), o.program()+"-restore", check...); err != nil {
			return err
		}
	}
	_, err = o.removeFrom(ctx, w, other)
	return err
}

// removeFrom takes our chains out of a table.
func (o *exportOptions) removeFrom(ctx context.Context, w *world, table string) (found bool, err error) {
	old, err := o.currentChains(ctx, w, table)
	if err != nil || len(old.chains) == 0 {
		return false, err
	}
	text := "*" + table + "\n"
	if old.jump {
		text += fmt.Sprintf("-D %s -j %s\n", hookOf(table), ruleset.EntryChain)
	}
	text += old.stale("") + "COMMIT\n"
	_, err = w.run(ctx, []byte(text), o.program()+"-restore", "--noflush")
	return true, err
}

// chainsInKernel is what a table has of ours.
type chainsInKernel struct {
	chains []string // those that the entry chain leads to, itself first
	jump   bool     // the hook's chain calls it
}

// currentChains finds our chains in a table. A chain of the entry's name that
// is not ours is an error.
func (o *exportOptions) currentChains(ctx context.Context, w *world, table string) (*chainsInKernel, error) {
	text, err := w.run(ctx, nil, o.program()+"-save", "-t", table)
	if err != nil {
		return nil, err
	}
	k := &chainsInKernel{}
	targets := map[string][]string{}
	exists, ours := false, false
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		exists = exists || strings.HasPrefix(line, ":"+ruleset.EntryChain+" ")
		if len(f) < 2 || f[0] != "-A" {
			continue
		}
		ours = ours || f[1] == ruleset.EntryChain && strings.Contains(line, ruleset.EntryComment)
		for i, word := range f[:len(f)-1] {
			if word == "-j" || word == "-g" {
				targets[f[1]] = append(targets[f[1]], f[i+1])
			}
		}
	}
	if !exists {
		return k, nil
	}
	if !ours {
		return nil, cli.WithHint(errors.New("the chain "+ruleset.EntryChain+" is not knockctl's: left as it is"), "rename it, or load the printed file by hand")
	}
	k.jump = slices.Contains(targets[hookOf(table)], ruleset.EntryChain)
	k.chains = []string{ruleset.EntryChain}
	for i := 0; i < len(k.chains); i++ {
		for _, t := range targets[k.chains[i]] {
			if !slices.Contains(k.chains, t) && strings.Contains(text, "\n:"+t+" - ") {
				k.chains = append(k.chains, t)
			}
		}
	}
	return k, nil
}

// stale returns the rules that delete the chains which a text does not declare.
func (k *chainsInKernel) stale(text string) string {
	var flush, remove strings.Builder
	for _, c := range k.chains {
		if !strings.Contains(text, "\n:"+c+" ") {
			fmt.Fprintf(&flush, "-F %s\n", c)
			fmt.Fprintf(&remove, "-X %s\n", c)
		}
	}
	return flush.String() + remove.String()
}
