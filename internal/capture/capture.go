package capture

import (
	"time"

	"knockd/internal/packet"
)

// Captured is a packet and the time at which it was seen.
type Captured struct {
	packet.Packet
	Time time.Time
}

// Source gives packets in the order in which they came.
type Source interface {
	// Next waits for packets and returns all that are there, at least one.
	// They and their payloads are valid until the next call. At the end of a
	// file the error is io.EOF, after Close it is os.ErrClosed. Packets and an
	// error are never returned together.
	Next() ([]Captured, error)

	// Close ends the source and wakes a waiting Next.
	Close() error
}
