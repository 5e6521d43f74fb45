package netstate

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"knockd/internal/nettest"
)

func TestListeners(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tcp": "  sl  local_address rem_address   st\n" +
			"   0: 00000000:0016 00000000:0000 0A 0\n   1: 0100007F:0050 00000000:0000 0A 0\n   2: 00000000:1000 0200A8C0:0016 01 0\n" +
			"   5: 050200C0:0016 020200C0:8001 01 0\n   6: 0100007F:0016 0100007F:8002 01 0\n   7: 060200C0:0017 020200C0:8003 01 0\n   8: 060200C0:0016 020200C0:8004 06 0\n",
		"tcp6": "  sl\n   3: 0000000000000000FFFF0000050200C0:0016 0000000000000000FFFF0000020200C0:8000 01 0\n   4: 000007FD000000000000000002000000:0016 000007FD000000000000000001000000:8000 01 0\n   0: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0\n   1: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0\n",
		"udp":  "  sl\n   0: 00000000:0035 00000000:0000 07 0\n junk\n",
	} {
		nettest.Write(t, filepath.Join(dir, name), text)
	}
	want := []Listener{{6, 22}, {6, 443}, {17, 53}}
	if got := listeners(dir); !slices.Equal(got, want) {
		t.Errorf("listeners: %v, want %v", got, want)
	}
	if got, want := fmt.Sprint(connected(dir, 22)), "[192.0.2.5 fd07::2]"; got != want && binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		t.Errorf("connections to port 22 at %v, want %v", got, want)
	}
}
