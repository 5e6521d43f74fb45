package knock

import (
	"net/netip"
	"strconv"
	"time"
)

// MaxSteps is the longest sequence a door can have, as in knockd 0.8.
const MaxSteps = 32

// DefaultTimeout is the seq_timeout of a door that names none, as in knockd 0.8.
const DefaultTimeout = 25 * time.Second

// Step is one hit of a sequence.
type Step struct {
	Proto Protocol
	Port  uint16 // 1-65535
}

// String returns the step as the configuration writes it: "7000:tcp".
func (s Step) String() string { return strconv.Itoa(int(s.Port)) + ":" + s.Proto.String() }

// Door is what the tracker knows of a section of the configuration.
type Door struct {
	Name     string
	Sequence []Step        // 1 to MaxSteps; a door without one never opens
	Timeout  time.Duration // seq_timeout: from the first hit to the last
	Flags    FlagMatch
	Target   netip.Addr // the destination to watch; the zero Addr means any local address
}
