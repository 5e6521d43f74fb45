package netstate

import (
	"path/filepath"
	"slices"
	"testing"

	"knockd/internal/nettest"
)

func TestListeners(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tcp": "  sl  local_address rem_address   st\n" +
			"   0: 00000000:0016 00000000:0000 0A 0\n   1: 0100007F:0050 00000000:0000 0A 0\n   2: 00000000:1000 0200A8C0:0016 01 0\n",
		"tcp6": "  sl\n   0: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0\n   1: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0\n",
		"udp":  "  sl\n   0: 00000000:0035 00000000:0000 07 0\n junk\n",
	} {
		nettest.Write(t, filepath.Join(dir, name), text)
	}
	want := []Listener{{6, 22}, {6, 443}, {17, 53}}
	if got := listeners(dir); !slices.Equal(got, want) {
		t.Errorf("listeners: %v, want %v", got, want)
	}
}
