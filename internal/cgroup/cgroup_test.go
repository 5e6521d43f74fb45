package cgroup

import (
	"slices"
	"strings"
	"testing"
)

func TestDirs(t *testing.T) {
	for _, c := range []struct{ groups, want string }{
		{"0::/a/b\n", "/m/a/b /m/a /m"},
		{"0::/\n", "/m"},
		{"0::/../a\n", "/m/a /m"}, // outside of the namespace
		{"1:cpu:/a/b\n8:pids:/x\n0::/\n", "/m/pids/x /m/pids /m"},
		{"4:cpu,pids:/x\n", ""},
		{"", ""}, {"junk\n::\n", "/m"},
	} {
		if got := strings.Join(slices.Collect(Dirs("/m", c.groups, "pids")), " "); got != c.want {
			t.Errorf("%q: %s\nwant %s", c.groups, got, c.want)
		}
	}
	for range Dirs("/m", "0::/a/b\n", "pids") {
		break // the rest is not asked for
	}
	if groups := Own(); !strings.Contains(groups, ":/") {
		t.Errorf("this process is in %q", groups)
	}
}
