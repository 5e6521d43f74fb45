package nft

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"knockd/internal/knock"
)

// marker begins the comment of what is ours: the map of ports in our own
// table, by which the table is known again, and elements in sets of others.
const marker = "knockd:"

// kernelName names a door within the kernel: unique, the same after each restart,
// and readable by nft, whose names know only letters, digits and _ . - /
type kernelName string

// maxID leaves room for marker and suffixes within the 128 octets that a
// comment may have (libnftnl, NFTNL_UDATA_COMMENT_MAXLEN).
const maxID = 100

func newKernelName(door knock.DoorID) kernelName {
	name := door.Name
	var b strings.Builder
	for _, c := range []byte(name) {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, ".%02x", c)
		}
	}
	id := b.String()
	if len(id) > maxID-10 {
		id = fmt.Sprintf("%s/%x", id[:maxID-50], sha256.Sum256([]byte(name)))[:maxID-10]
	}
	if door.N > 1 {
		id += "/" + strconv.Itoa(door.N)
	}
	return kernelName(id)
}

// comment marks an element that is ours in a set of others.
func (id kernelName) comment() string { return marker + string(id) }

// idFromComment returns whose element it is; ok only if it is ours.
func idFromComment(comment string) (kernelName, bool) {
	id, ok := strings.CutPrefix(comment, marker)
	return kernelName(id), ok
}

// chainName names the chain that looks at the doors of a range of ports.
func chainName(m Mode, r knock.PortRange) string {
	name := fmt.Sprintf("%s_%s_%d", m, r.Proto, r.First)
	if r.Last > r.First {
		name += "-" + strconv.Itoa(int(r.Last))
	}
	return name
}

// mapName names the map from ports to chains. It differs by mode, so that
// one mode's rules never meet the other's while they are exchanged.
func mapName(m Mode) string { return m.String() + "_ports" }
