package replaycache

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"knockd/internal/statefile"
)

// A line is SECONDS TOKEN SUM, the sum over what stands before it. The first
// line has magic in the token's place and the floor as its time.
const (
	magic    = "once-1"
	sumDigit = 8
)

var errDamaged = errors.New("damaged")

func appendLine(b []byte, stamp int64, token Token) []byte {
	return appendText(b, stamp, hex.EncodeToString(token[:]))
}

func appendText(b []byte, stamp int64, text string) []byte {
	start := len(b)
	b = strconv.AppendInt(b, stamp, 10)
	b = append(append(append(b, ' '), text...), ' ')
	return fmt.Appendf(b, "%0*x\n", sumDigit, crc32.ChecksumIEEE(b[start:]))
}

// parseLine reads a line without its newline.
func parseLine(line []byte) (stamp int64, text string, ok bool) {
	i := len(line) - sumDigit
	if i < 1 || string(line[i:]) != fmt.Sprintf("%0*x", sumDigit, crc32.ChecksumIEEE(line[:i])) {
		return 0, "", false
	}
	number, rest, _ := bytes.Cut(line[:i-1], []byte(" "))
	stamp, err := strconv.ParseInt(string(number), 10, 64)
	return stamp, string(rest), err == nil && line[i-1] == ' '
}

// maxFile bounds what is read of a file, in octets: more than maxTokens take.
const maxFile = 64 << 20

// read takes the file's lines into memory.
func (s *Store) read(dir *statefile.Dir) error {
	log := dir.Log(filepath.Base(s.path))
	data, err := log.Open(0, maxFile)
	writer := (*statefile.WriterError)(nil)
	if errors.As(err, &writer) || errors.Is(err, statefile.ErrNotRegular) || errors.Is(err, syscall.EISDIR) {
		return fmt.Errorf("%s: must be a file that nobody else can write", s.path)
	}
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	s.log = log
	return s.parse(data)
}

// parse reads lines until one is not whole. That one and what follows is what a
// crash left of a write that nobody was told had happened; but if a whole line
// follows it, the file was damaged otherwise.
func (s *Store) parse(data []byte) error {
	head, data, _ := bytes.Cut(data, []byte("\n"))
	floor, text, ok := parseLine(head)
	if !ok || text != magic {
		return fmt.Errorf("%s:1: %w", s.path, errDamaged)
	}
	s.floor = floor
	torn := 0
	for n := 2; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		stamp, text, ok := parseLine(line)
		token, err := hex.DecodeString(text)
		switch ok = ok && whole && err == nil && len(token) == len(Token{}); {
		case !ok && torn == 0:
			torn = n
		case ok && torn > 0:
			return fmt.Errorf("%s:%d: %w", s.path, torn, errDamaged)
		case ok:
			s.used[Token(token)] = stamp
		}
	}
	return nil
}

// rewrite forgets what is old and puts a new file in the old one's place. The
// tokens of the batch being written are in memory already, and so in the file.
func (s *Store) rewrite(now time.Time) error {
	s.mu.Lock()
	s.forget(now)
	data := appendText(nil, s.floor, magic)
	for token, stamp := range s.used {
		data = appendLine(data, stamp, token)
	}
	s.lines = len(s.used)
	s.limit = 2*s.lines + rewriteLines
	s.dirty = true
	s.mu.Unlock()
	log, err := statefile.Replace(s.path, data)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write store: %v", err) // not what Enter says of a token
	}
	if err != nil {
		return fmt.Errorf("write store: %w", err)
	}
	if s.log != nil {
		s.log.Close()
	}
	s.log = log
	s.mu.Lock()
	s.dirty = false
	s.mu.Unlock()
	return nil
}

// forget takes out the tokens older than now less twice the age, then the
// oldest if there are still too many, and raises the floor to the newest of
// them.
func (s *Store) forget(now time.Time) {
	oldest := now.Add(-2 * s.age).Unix()
	if len(s.used) > maxTokens {
		stamps := slices.Sorted(maps.Values(s.used))
		oldest = max(oldest, stamps[len(stamps)-1-maxTokens*3/4]+1)
	}
	for token, stamp := range s.used {
		if stamp < oldest {
			delete(s.used, token)
			s.floor = max(s.floor, stamp)
		}
	}
}

// lock takes the lock that keeps a second process out. A lock of its own, since
// the store's file is replaced.
func lock(dir *statefile.Dir, name string) (*os.File, error) {
	f, err := dir.Lock(name)
	if locked := (*statefile.LockedError)(nil); errors.As(err, &locked) {
		return nil, fmt.Errorf("lock %s: another process uses the store", locked.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	return f, nil
}
