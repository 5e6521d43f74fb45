package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// lack is another room's error with a hint.
type lack struct{}

func (lack) Error() string { return "no way" }
func (lack) Hint() string  { return "make one" }

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err        error
		text, hint string
		usage      bool
	}{
		{errors.New("plain"), "plain", "", false},
		{WithHint(fs.ErrNotExist, "make it"), "file does not exist", "make it", false},
		{fmt.Errorf("go: %w", lack{}), "go: no way", "make one", false},
		{WithHint(lack{}, "take mine"), "no way", "take mine", false},
		{Usagef("write less", "%d words", 3), "3 words", "write less", true},
		{fmt.Errorf("x: %w", Usage(fs.ErrNotExist, "")), "x: file does not exist", "", true},
		{WithHint(Usage(lack{}, "inner"), "outer"), "no way", "outer", true},
	} {
		if c.err.Error() != c.text || HintOf(c.err) != c.hint || IsUsage(c.err) != c.usage {
			t.Errorf("%v: hint %q, usage %v", c.err, HintOf(c.err), IsUsage(c.err))
		}
	}
	if !errors.Is(Usage(fs.ErrNotExist, ""), fs.ErrNotExist) || !errors.Is(WithHint(fs.ErrNotExist, ""), fs.ErrNotExist) {
		t.Error("the error beneath is lost")
	}
	if HintOf(nil) != "" || IsUsage(nil) {
		t.Error("nothing is something")
	}
}

func TestSpeaker(t *testing.T) {
	var b strings.Builder
	s := Speaker{"knock", &b}
	s.Say("wrong", "")
	s.Say("worse", "do this")
	s.Warn("odd", "")
	s.Warn("odder", "do that")
	PrintVersion(&b, "knock")
	const want = "knock: wrong\nknock: worse\nknock: hint: do this\nknock: warning: odd\nknock: warning: odder\nknock: hint: do that\nknock 1.0.0\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}
