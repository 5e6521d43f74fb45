// Package spa is single-packet authorization, compatible with fwknop 2.6 in
// both directions: the packet's codec and cryptography, key files, what a client
// asks for, and the Verifier, which decides what one packet opens. It reads no
// clock and opens no socket; what was used is remembered through Once, and what
// the Verifier remembers itself only saves it work. The one file it reads is a key
// file.
//
// Cryptography comes from the standard library alone. Nothing in this package
// puts a key, a message or a random value into an error.
package spa
