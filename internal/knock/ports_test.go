package knock_test

import (
	"errors"
	"testing"

	"knockd/internal/knock"
)

func TestParsePortRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		step     bool // the error is a *StepError
	}{
		{"tcp/22", "tcp/22", false},
		{" UDP / 60001 - 60010 ", "udp/60001-60010", false},
		{"22", "22", false},
		{"60001-60010", "60001-60010", false},
		{"tcp/7-7", "tcp/7", false},
		{"", `port "": must be a number between 1 and 65535`, true},
		{"tcp/", `port "": must be a number between 1 and 65535`, true},
		{"/22", `protocol "": must be tcp or udp`, true},
		{"icmp/22", `protocol "icmp": must be tcp or udp`, true},
		{"tcp/0", "port 0: must be between 1 and 65535", true},
		{"tcp/1-65536", "port 65536: must be between 1 and 65535", true},
		{"tcp/1-x", `port "x": must be a number between 1 and 65535`, true},
		{"tcp/1-2-3", `port "2-3": must be a number between 1 and 65535`, true},
		{"tcp/30-20", "ports 30-20: the first must not be above the last", false},
	} {
		r, err := knock.ParsePortRange(tt.in)
		got := r.String()
		if err != nil {
			got = err.Error()
		}
		var fault *knock.StepError
		if got != tt.want || errors.As(err, &fault) != tt.step {
			t.Errorf("%q: %s, %v; want %s", tt.in, got, errors.As(err, &fault), tt.want)
		}
	}
}
