// Package netstate knows which network interfaces and local addresses there
// are now, and tells of each change. It follows the kernel's notifications
// (rtnetlink(7)) and never polls.
package netstate
