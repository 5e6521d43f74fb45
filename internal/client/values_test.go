package client

import (
	"fmt"
	"testing"
	"time"
)

func TestParseValues(t *testing.T) {
	show := func(v any, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(v)
	}
	delay := func(s string) string { v, err := ParseDelay(s); return show(v, err) }
	timeout := func(s string) string { v, err := ParseTimeout(s); return show(v, err) }
	offset := func(s string) string { v, err := ParseOffset(s); return show(v, err) }
	open := func(s string) string { v, err := ParseOpenTime(s); return show(v, err) }
	retry := func(s string) string { v, err := ParseRetry(s); return show(v, err) }
	wait := func(s string) string { v, err := ParseWait(s); return show(v, err) }
	family := func(s string) string { v, err := ParseFamily(s); return show(v, err) }
	flags := func(s string) string { v, err := ParseFlags(s); return show(v, err) }
	file := func(s string) string { v, err := ReadSequenceFile(s); return show(v, err) }
	const badDelay, badTimeout = "must be milliseconds or a time such as 200ms", "must be seconds or a time such as 1m30s"
	const badOffset, badOpen = "must be seconds or a time such as 1m30s, - before it for the past", "must be a number of seconds from 0 to 65536"
	for _, c := range []struct {
		parse      func(string) string
		text, want string
	}{
		{delay, "0", "0s"}, {delay, "200", "200ms"}, {delay, "1.5s", "1.5s"}, {delay, "200ms", "200ms"},
		{delay, "-1", "cannot be negative"}, {delay, "", badDelay}, {delay, "x", badDelay}, {delay, "25h", badDelay},
		{delay, "99999999999999999999", badDelay},
		{timeout, "10", "10s"}, {timeout, "0.5", "500ms"}, {timeout, "1m30s", "1m30s"},
		{timeout, "0", "must be more than 0"}, {timeout, "-3", "must be more than 0"}, {timeout, "soon", badTimeout},
		{delay, "1 s", "1s"}, {delay, "0.2SEC", "200ms"}, {delay, "1e3", badDelay}, {delay, "+5", "5ms"}, {delay, "5y", badDelay},
		{timeout, "5min", "5m0s"}, {timeout, "2 minutes 5 seconds", "2m5s"}, {timeout, "1h30", badTimeout}, {timeout, "1d", "24h0m0s"},
		{timeout, "2d", badTimeout}, {timeout, "inf", badTimeout}, {timeout, "1..5", badTimeout}, {timeout, "s", badTimeout}, {timeout, "", badTimeout},
		{offset, "-5min", "-5m0s"}, {offset, "-1m30s", "-1m30s"}, {offset, "1m30s", "1m30s"}, {offset, "90", "1m30s"}, {offset, "-90", "-1m30s"},
		{offset, "+2H", "2h0m0s"}, {offset, "2d", "48h0m0s"}, {offset, "0", "0s"}, {offset, "-0.5s", "-500ms"}, {offset, "40000d", badOffset},
		{offset, "36000d36000d36000d", badOffset}, {offset, "9999999999999999999999999d", badOffset},
		{offset, "--5", badOffset}, {offset, "-+5", badOffset}, {offset, "5-", badOffset}, {offset, "-", badOffset}, {offset, "5y", badOffset},
		{open, "60", "1m0s"}, {open, "5min", "5m0s"}, {open, "1m30s", "1m30s"}, {open, "0", "0s"}, {open, "65536", "18h12m16s"},
		{open, "65537", badOpen}, {open, "1.5s", badOpen}, {open, "-5", badOpen}, {open, "x", badOpen}, {open, "", badOpen},
		{retry, "0", "0"}, {retry, "100", "100"}, {retry, "101", "must be a number between 0 and 100"},
		{retry, "-1", "must be a number between 0 and 100"}, {retry, "", "must be a number between 0 and 100"},
		{wait, "22", "22"}, {wait, "tcp/22", "22"}, {wait, "TCP/22", "22"}, {wait, "tcp/0", "port 0: must be between 1 and 65535"},
		{wait, "udp/53", "a udp port does not tell whether it is open: wait for a tcp port behind the same door"},
		{wait, "sctp/5", `protocol "sctp": must be tcp`}, {wait, "ssh", `"ssh" is not a port`}, {wait, "22/tcp", `protocol "22": must be tcp`},
		{family, "IPv4", "IPv4"}, {family, "both", "IP"}, {family, "any", "IP"}, {family, "4", `"4" is none of any, ipv4, ipv6, both`},
		{flags, "syn", "syn"}, {flags, "SYN, ack", "syn,ack"}, {flags, "", `"" is none of fin, syn, rst, psh, ack, urg`},
		{flags, "syn,!ack", `"!ack" is none of fin, syn, rst, psh, ack, urg`},
		{file, "7000 8000:udp\n# no\n 9000, 1 # 2\r\n", "[7000:tcp 8000:udp 9000:tcp 1:tcp]"}, {file, "# 1\n", "the sequence is empty"},
		{file, "1 x", `"x" is not a port`},
	} {
		if got := c.parse(c.text); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestTries(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		retry   int
		want    int
	}{{10 * time.Second, 3, 4}, {10 * time.Second, 0, 1}, {2 * time.Second, 3, 2}, {time.Millisecond, 3, 1}, {time.Hour, 100, 101}} {
		if got := (&Dialer{Timeout: c.timeout, Retry: c.retry}).tries(); got != c.want {
			t.Errorf("%v, retry %d: %d tries, want %d", c.timeout, c.retry, got, c.want)
		}
	}
}

// TestProbeTimes: an attempt is begun every 250 ms, and none within 40 ms of
// when Linux repeats the SYN of an earlier one, up to 50 ms late.
func TestProbeTimes(t *testing.T) {
	if probeLife > 1950*time.Millisecond {
		t.Error("an attempt lives until its second repeat")
	}
	for n := range 40 {
		if gap := probeTime(n+1) - probeTime(n); gap != probeInterval && gap != probeInterval+probeShift {
			t.Errorf("gap of %v after attempt %d", gap, n)
		}
		for later := range 60 {
			early, late := probeTime(n)+time.Second, probeTime(n)+1050*time.Millisecond
			if at := probeTime(later); at > early-40*time.Millisecond && at < late+40*time.Millisecond {
				t.Errorf("attempt %d at %v meets the repeat of %d at %v", later, at, n, early)
			}
		}
	}
}
