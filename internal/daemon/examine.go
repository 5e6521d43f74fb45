package daemon

import (
	"fmt"

	"knockd/internal/config"
	"knockd/internal/nft"
)

// examine looks at the host's own rulesets and says which native doors cannot
// work with them. What cannot be looked at is said too, and no fault.
func examine(conf *config.Config) []string {
	lists := examineLists(conf)
	if !hasNative(conf) {
		return lists
	}
	warnings, err := nft.Examine(firewallOptions(conf, nil), nativeDoors(conf))
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("the host's rulesets are not examined: %v", err))
	}
	return append(lists, warnings...)
}
