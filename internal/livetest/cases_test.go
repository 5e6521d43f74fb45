package livetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

// given returns a configuration as people have it, of testdata/cases, with the
// log and what its command writes in the test's own directory.
func given(t *testing.T, name string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("../../testdata/cases", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("/var/log/knockd.log", "LOG", "/tmp/hit", "DIR/opened").Replace(string(src))
}

// TestCommentsAfterNumbers: a configuration with comments behind its numbers
// opens for the same knock as with knockd 0.8, here with warnings.
func TestCommentsAfterNumbers(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	r := startRivals(t, server, given(t, "01-comments-after-numbers.conf"))
	knock08(t, client, nettest.Server4, "7300", "8300", "9300")
	for _, d := range []*daemon{r.theirs, r.ours} {
		d.opensFor(nettest.Client4)
		d.end()
	}
	if diff := cmp.Diff(conformance.Decisions(r.theirs.text()), conformance.Decisions(r.ours.text())); diff != "" {
		t.Errorf("knockd 0.8 -, ours +:\n%s", diff)
	}
	for _, want := range []string{
		`:5: [openSSH] sequence: "# the knock" behind the value is not read`,
		`:6: [openSSH] seq_timeout: "# seconds, typing takes time" behind the value is not read`,
	} {
		if n := strings.Count(r.ours.output.String(), want); n != 1 {
			t.Errorf("%d times %s in\n%s", n, want, r.ours.output.String())
		}
	}
}
