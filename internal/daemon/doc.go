// Package daemon joins the rooms of knockd: packets go from the capture
// through the tracker to the doors, left to right; lines go to the log. One
// goroutine owns the tracker. What can block happens elsewhere.
package daemon
