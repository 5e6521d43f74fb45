// Package netstate knows which network interfaces, local addresses and
// listening programs there are now, and tells of each change of the first two.
// It follows the kernel's notifications (rtnetlink(7)) and never polls.
package netstate
