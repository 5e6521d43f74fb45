package knock

import (
	"fmt"
	"strings"
)

// blank is what may stand before a comment: C's isspace within a line, as
// knockd 0.8 has it.
const blank = " \t\v\f\r"

// CutComment splits a value that a comment may follow: at the first # or ;
// behind a blank. Without one the comment is "".
func CutComment(value string) (bare, comment string) {
	for i := 1; i < len(value); i++ {
		if (value[i] == '#' || value[i] == ';') && strings.IndexByte(blank, value[i-1]) >= 0 {
			return strings.TrimRight(value[:i], blank), value[i:]
		}
	}
	return value, ""
}

// CheckComment says why a comment cannot stand behind a sequence: knockd 0.8,
// or a reader, could take a part of it for steps.
func CheckComment(sequence, comment string) error {
	_, text, _ := strings.Cut(comment, ":")
	protocol, _, _ := strings.Cut(text, ":")
	last := sequence[strings.LastIndexByte(sequence, ',')+1:]
	switch {
	case comment == "":
		return nil
	case strings.ContainsRune(comment, ','):
		return fmt.Errorf("must not hold a comma")
	case likePorts(comment):
		return fmt.Errorf("looks like ports, which must be separated by commas")
	case strings.ContainsRune(last, ':'):
		return fmt.Errorf("must not follow a protocol")
	case strings.EqualFold(strings.Trim(protocol, blank), UDP.String()):
		return fmt.Errorf("must not hold :udp, which knockd 0.8 takes for the last step's protocol")
	}
	return nil
}

// likePorts reports whether a comment is nothing but numbers behind semicolons.
func likePorts(comment string) bool {
	return comment[0] == ';' && strings.ContainsAny(comment, "0123456789") && strings.Trim(comment, "0123456789;:"+blank) == ""
}
