package knock_test

import (
	"fmt"
	"testing"

	"knockd/internal/knock"
)

func TestParsePortRanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		bad      bool
	}{
		{"tcp/22, UDP/60001-60010", "[tcp/22 udp/60001-60010]", false},
		{"22", `"22": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{"tcp/22,", `"": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{"tcp/0", `"tcp/0": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{"tcp/30-20", `"tcp/30-20": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{"tcp/65536", `"tcp/65536": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
	} {
		list, err := knock.ParsePortRanges(tt.in)
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}
