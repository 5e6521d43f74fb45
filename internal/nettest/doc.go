// Package nettest gives tests hosts of their own: network namespaces joined
// by virtual cables, in which they run programs, listen and dial. Nothing of
// it touches the network of the machine, everything vanishes with the test,
// and it has no names that two test runs could dispute: a namespace is held
// by a descriptor alone.
//
// Beside the standard library it needs the ip program and either root or a
// kernel that gives user namespaces to everybody (see Run).
package nettest
