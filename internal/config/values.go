package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// valueKey returns a key that -D prints as it is written.
func valueKey[T any](read func(t T, value string) error, names ...string) key[T] {
	return key[T]{names: names, read: func(t T, value string) ([]string, error) {
		if err := read(t, value); err != nil {
			return nil, err
		}
		return []string{names[0] + ": " + value}, nil
	}}
}

// parsed returns a valueKey whose value has a type of its own.
func parsed[T, V any](field func(T) *V, parse func(string) (V, error), names ...string) key[T] {
	return valueKey(func(t T, value string) error {
		v, err := parse(value)
		if err == nil {
			*field(t) = v
		}
		return err
	}, names...).sets(oneField(field))
}

// parseSeconds reads a number of whole seconds, 0 or more.
func parseSeconds(text string) (time.Duration, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q: must be a number of whole seconds", text)
	case err != nil || n < 0 || n > math.MaxInt32:
		return 0, fmt.Errorf("%s: must be between 0 and %d seconds", text, math.MaxInt32)
	}
	return time.Duration(n) * time.Second, nil
}

// between reads a whole number in a range.
func between(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q: must be a number between %d and %d", text, low, high)
		}
		return n, nil
	}
}

func parseYes(text string) (bool, error) {
	word, err := oneOf("yes", "no")(text)
	return word == "yes", err
}

// oneOf reads one of some words, in any case.
func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for _, w := range words {
			if strings.EqualFold(text, w) {
				return w, nil
			}
		}
		n := len(words) - 1
		return "", fmt.Errorf("%q: must be %s or %s", text, strings.Join(words[:n], ", "), words[n])
	}
}

// parsePath takes a path as it is written, perhaps relative.
func parsePath(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("must name a file or directory")
	}
	return text, nil
}

// wordOf reads one of some words, in any case.
func wordOf[W ~string](words ...W) func(string) (W, error) {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return func(text string) (W, error) {
		word, err := oneOf(texts...)(text)
		return W(word), err
	}
}
