// Package inspect says what the host's own rules would do with a packet: whether
// they spoil a native door, or let everybody reach what it opens.
//
// It follows a first packet from elsewhere through the rules as far as they can
// be judged; what depends on the packet's source, interface or on counting is
// taken to let it through only if it speaks of the door's port.
package inspect
