package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
