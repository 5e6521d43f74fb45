//go:build !noshell

package check

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// parseScript reads a command. What no shell can read is an error; words of
// bash, which /bin/sh may be, are taken.
func parseScript(command string) (*script, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(command), "")
	if err != nil {
		var bashErr error
		if file, bashErr = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), ""); bashErr != nil {
			return nil, shellError(err)
		}
	}
	s := &script{functions: map[string]bool{}}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.FuncDecl:
			if n.Name != nil { // a function of zsh may have none
				s.functions[n.Name.Value] = true
			}
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				s.add(callOf(n))
			}
		}
		return true
	})
	return s, nil
}

// add takes a call, and those of the script that it hands to a shell.
func (s *script) add(c call) {
	s.calls = append(s.calls, c)
	words := afterWrappers(c.words)
	if len(words) < 3 || !strings.HasSuffix(words[0].text, "sh") || words[1].text != "-c" || !words[2].fixed {
		return
	}
	if inner, err := parseScript(words[2].text); err == nil {
		s.calls = append(s.calls, inner.calls...)
		maps.Copy(s.functions, inner.functions)
	}
}

// shellError returns a parser's error without the place: a command is one line.
func shellError(err error) error {
	if e := (syntax.ParseError{}); errors.As(err, &e) {
		return errors.New(e.Text)
	}
	return fmt.Errorf("%w", err)
}

func callOf(n *syntax.CallExpr) (c call) {
	for _, w := range n.Args {
		c.words = append(c.words, wordOf(w))
	}
	return c
}

func wordOf(w *syntax.Word) word {
	var b strings.Builder
	fixed := true
	var add func(parts []syntax.WordPart, quoted bool)
	add = func(parts []syntax.WordPart, quoted bool) {
		for _, part := range parts {
			switch p := part.(type) {
			case *syntax.Lit:
				b.WriteString(unescaped(p.Value, quoted))
				fixed = fixed && (quoted || !strings.ContainsAny(p.Value, "*?[~"))
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
				fixed = fixed && !p.Dollar
			case *syntax.DblQuoted:
				add(p.Parts, true)
			default:
				fixed = false
			}
		}
	}
	add(w.Parts, false)
	return word{b.String(), fixed}
}

// unescaped takes the backslashes away that the shell does: all of them, or
// between double quotes those before $, `, ", \ and a line's end.
func unescaped(text string, quoted bool) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (!quoted || strings.IndexByte("$`\"\\\n", text[i+1]) >= 0) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
