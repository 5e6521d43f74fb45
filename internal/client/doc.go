// Package client is what happens on the knocker's side: find the address,
// send the hits of a sequence, wait until the door is open, and carry on the
// connection that was made meanwhile. It prints nothing and reads no
// configuration.
package client
