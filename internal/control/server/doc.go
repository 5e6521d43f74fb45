// Package server answers those who connect to the control socket: it speaks
// Varlink with them, knows their ranks, and bounds what they can cost.
//
// A message is JSON with a NUL behind it; see https://varlink.org. The
// protocol's own library is not used here: it reads a call of any length, takes
// descriptors, counts no connections and waits for a peer for ever.
//
// Who may be hostile: a member of the group that may connect, with as many
// processes as he likes. He gets as many connections as one user does, with
// messages of a bounded length and time, and never holds up who decides on
// packets.
package server
