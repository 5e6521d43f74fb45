package ruleset

import "testing"

// TestTargetOf: a target within quotes is a text.
func TestTargetOf(t *testing.T) {
	for rule, want := range map[string]string{
		"-A INPUT -j TRAFFIC":                                                "TRAFFIC",
		"-A INPUT -p tcp -g TRAFFIC-END":                                     "TRAFFIC-END",
		`-A INPUT -m comment --comment "see -j A" -j B`:                      "B",
		`-A INPUT -m comment --comment "a \" -j A" -g B --log-prefix "-j C"`: "B",
		`-A INPUT -m comment --comment -j -j A`:                              "A",
		"-A INPUT":                                                           "",
		`-A INPUT -m comment --comment "-j A"`:                               "",
	} {
		if got := targetOf(rule); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}
