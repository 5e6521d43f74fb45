// Package control is what the control socket says: the Varlink interface knockd.control, its types, its errors, and
// which events a reader may see.
//
// The interface file is the contract, for programs in other languages too; a
// test holds the types here to it.
package control

import _ "embed"

// Description is the interface in Varlink's own language.
//
//go:embed knockd.control.varlink
var Description string

// The interface and its methods, as a call names them.
const (
	Interface = "knockd.control"

	MethodStatus   = Interface + ".Status"
	MethodDoors    = Interface + ".Doors"
	MethodOpenings = Interface + ".Openings"
	MethodAttempts = Interface + ".Attempts"
	MethodHistory  = Interface + ".History"
	MethodWatch    = Interface + ".Watch"
	MethodOpen     = Interface + ".Open"
	MethodClose    = Interface + ".Close"
	MethodReload   = Interface + ".Reload"
	MethodTrial    = Interface + ".Trial"
	MethodConfirm  = Interface + ".Confirm"
	MethodExplain  = Interface + ".Explain"
)

// DefaultSocket is where knockd listens if ControlSocket does not say.
const DefaultSocket = "/run/knockd/control"

// Rank is what a peer of the socket may do.
type Rank string

// The ranks, each with the rights of those before it.
const (
	Reader Rank = "reader" // who is in, history, health
	Admin  Rank = "admin"  // stages and attempts, and all that changes
)
