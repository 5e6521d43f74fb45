package ruleset

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// nftables is the Backend of one table in nf_tables.
type nftables struct{}

func (nftables) Name() string { return "nftables" }

func (nftables) Check(opt Options) error {
	if opt.IPv6 {
		return errors.New("--ipv6: an nftables ruleset has both families already")
	}
	return nil
}

func (nftables) Compile(doors []*Door, opt Options) (text []byte, notes []string, err error) {
	text, err = Nftables(doors, opt)
	return text, Notes(doors, opt), err
}

// currentTable returns the text of our table in the kernel, empty if there is
// none. One of the same name that is not ours is an error.
func currentTable(ctx context.Context, run Runner) (string, error) {
	tables, err := run(ctx, nil, "nft", "list", "tables")
	if err != nil || !slices.Contains(strings.Split(tables, "\n"), "table inet "+Table) {
		return "", err
	}
	text, err := run(ctx, nil, "nft", "list", "table", "inet", Table)
	if err == nil && !strings.Contains(text, "chain k_guard {") {
		err = fmt.Errorf("the table inet %s is not knockctl's: left as it is", Table)
	}
	return text, err
}

// object finds the sets and chains in a ruleset's text.
var object = regexp.MustCompile(`(?m)^\s*(set|chain) (\S+) \{`)

// Load needs the program nft.
func (nftables) Load(ctx context.Context, h Host, _ Options, text string) error {
	old, err := currentTable(ctx, h.Run)
	if err != nil {
		return err
	}
	text += staleObjects(old, text)
	if _, err := h.Run(ctx, []byte(text), "nft", "-c", "-f", "-"); err != nil {
		return fmt.Errorf("check the ruleset: %w", err)
	}
	_, err = h.Run(ctx, []byte(text), "nft", "-f", "-")
	return err
}

// Remove needs the program nft.
func (nftables) Remove(ctx context.Context, h Host, _ Options) (found bool, err error) {
	old, err := currentTable(ctx, h.Run)
	if err != nil || old == "" {
		return false, err
	}
	_, err = h.Run(ctx, []byte("delete table inet "+Table+"\n"), "nft", "-f", "-")
	return true, err
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
				fmt.Fprintf(&b, "delete %s inet %s %s\n", kind, Table, m[2])
			}
		}
	}
	return b.String()
}
