package replaycache

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

const crashEnv = "ONCE_TEST_CRASH"

func TestMain(m *testing.M) {
	nettest.Umask()
	if path := os.Getenv(crashEnv); path != "" {
		useForEver(path)
	}
	os.Exit(m.Run())
}

// useForEver enters tokens from several goroutines and says each that is safe.
func useForEver(path string) {
	start, _ := strconv.Atoi(os.Getenv(crashEnv + "_START"))
	s, err := Open(path, age, noon)
	if err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	said := make(chan int)
	for g := range 4 {
		go func() {
			for i := start + g; ; i += 4 {
				if s.Use(token(i), noon.Add(time.Second), noon) == nil {
					said <- i
				}
			}
		}()
	}
	for i := range said {
		os.Stdout.WriteString(strconv.Itoa(i) + "\n")
	}
}

// TestCrash kills a process that uses the store, at random moments: what it said
// was safe is never new again.
func TestCrash(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	path := filepath.Join(t.TempDir(), "store")
	safe, start := []int{}, 0
	for range rounds {
		said := crashOnce(t, path, start)
		for _, i := range said {
			start = max(start, i+1)
		}
		safe = append(safe, said...)
	}
	s := open(t, path, noon)
	for _, i := range safe {
		if err := s.Use(token(i), noon.Add(time.Second), noon); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("token %d was safe and is new again: %v", i, err)
		}
	}
	if len(safe) < rounds {
		t.Errorf("only %d tokens in %d rounds: nothing shown", len(safe), rounds)
	}
	t.Logf("%d tokens in %d rounds", len(safe), rounds)
}

// crashOnce returns what one process said before it was killed.
func crashOnce(t *testing.T, path string, start int) []int {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashEnv+"="+path, crashEnv+"_START="+strconv.Itoa(start))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	after := 1 + rand.IntN(20) // tokens, then some microseconds
	var said []int
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "fault") {
			t.Fatal(lines.Text())
		}
		i, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, i)
		if n == after {
			time.Sleep(rand.N(500 * time.Microsecond))
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return said
}
