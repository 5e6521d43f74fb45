package client

import (
	"strings"
	"testing"

	"knockd/internal/knock"
)

func TestParseStep(t *testing.T) {
	for text, want := range map[string]string{
		"7000":                 "7000:tcp",
		"7000:tcp":             "7000:tcp",
		"8000:udp":             "8000:udp",
		"8000:UDP":             "8000:udp",
		"7000:":                "7000:tcp",
		"1":                    "1:tcp",
		"0065535":              "65535:tcp",
		"":                     `"" is not a port`,
		"abc":                  `"abc" is not a port`,
		"-1":                   `"-1" is not a port`,
		"+1":                   "1:tcp",
		"++1":                  `"++1" is not a port`,
		":udp":                 `"" is not a port`,
		"0":                    "port 0: must be between 1 and 65535",
		"65536":                "port 65536: must be between 1 and 65535",
		"99999999999999999999": "port 99999999999999999999: must be between 1 and 65535",
		"7000:sctp":            `port 7000: protocol "sctp": must be tcp or udp`,
		"1:udp:tcp":            `port 1: protocol "udp:tcp": must be tcp or udp`,
	} {
		step, err := ParseStep(text)
		got := step.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ParseStep(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestReadSequence(t *testing.T) {
	for text, want := range map[string]string{
		"7000,8000:udp,9000:tcp":       "7000:tcp 8000:udp 9000:tcp",
		" 1 , 2:udp\t,3 \r":            "1:tcp 2:udp 3:tcp",
		"":                             "the sequence is empty",
		" \t":                          "the sequence is empty",
		"1,,2":                         `"" is not a port`,
		"1 : udp":                      "1:udp",
		"1:":                           `port 1: protocol "": must be tcp or udp`,
		"1 2":                          `"1 2" is not a port`,
		"1,2,70000":                    "port 70000: must be between 1 and 65535",
		strings.Repeat("1,", 31) + "1": strings.TrimSpace(strings.Repeat("1:tcp ", 32)),
		strings.Repeat("1,", 32) + "1": "33 steps: must be at most 32",
	} {
		steps, err := ReadSequence(text)
		got := join(steps)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ReadSequence(%q) = %s, want %s", text, got, want)
		}
	}
}

func join(steps []knock.Step) string {
	var words []string
	for _, s := range steps {
		words = append(words, s.String())
	}
	return strings.Join(words, " ")
}
