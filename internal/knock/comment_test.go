package knock

import (
	"fmt"
	"testing"
)

func TestCutComment(t *testing.T) {
	for _, c := range []struct{ value, bare, comment string }{
		{"", "", ""}, {"#", "#", ""}, {"# x", "# x", ""}, {"7000", "7000", ""}, {"7000#x", "7000#x", ""}, {"7000;8000", "7000;8000", ""},
		{"7000 # x", "7000", "# x"}, {"7000 \t;x", "7000", ";x"}, {"7000 #", "7000", "#"}, {"7000,8000 ; a # b", "7000,8000", "; a # b"},
		{"7000# x #y", "7000# x", "#y"}, {" # x", "", "# x"}, {"7000\u00a0# x", "7000\u00a0# x", ""},
	} {
		if bare, comment := CutComment(c.value); bare != c.bare || comment != c.comment {
			t.Errorf("%q: %q and %q, want %q and %q", c.value, bare, comment, c.bare, c.comment)
		}
	}
}

func TestCheckComment(t *testing.T) {
	const comma, ports, protocol, udp = "must not hold a comma", "looks like ports, which must be separated by commas",
		"must not follow a protocol", "must not hold :udp, which knockd 0.8 takes for the last step's protocol"
	for _, c := range []struct{ sequence, comment, want string }{
		{"7000,8000", "", "<nil>"}, {"7000,8000", "# the knock", "<nil>"}, {"7000,8000", "#", "<nil>"}, {"7000,8000", "; 3 of them", "<nil>"},
		{"7000:udp,8000", "# x", "<nil>"}, {"7000", "# note: x", "<nil>"}, {"7000", "# see 22:tcp", "<nil>"}, {"7000", "# 8000", "<nil>"},
		{"7000", "# a, b", comma}, {"7000", "; 8000 ; 9000", ports}, {"7000", ";8000", ports}, {"7000:udp", "# x", protocol},
		{"7000,8000:tcp", "; x", protocol}, {"7000", "# see 22: UDP", udp}, {"7000", "# a:udp:b", udp}, {"7000", "# a:b:udp", "<nil>"},
	} {
		if got := fmt.Sprint(CheckComment(c.sequence, c.comment)); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.sequence, c.comment, got, c.want)
		}
	}
}
