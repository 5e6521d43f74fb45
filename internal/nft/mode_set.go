package nft

import "knockd/internal/knock"

// Set puts openings into sets of the host's own rules; it has no table.
var Set = Mode{&mode{
	name: "set",
	advice: func(_ Options, t knock.Table, _ string, r knock.PortRange) string {
		if t.Name == firewalld {
			return useGuard(r)
		}
		return " before or in spite of the door's set; add a rule that asks the set, or use nft_mode = mark"
	},
}}
