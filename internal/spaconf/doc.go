// Package spaconf makes the doors of a spa.Verifier from the configuration: it joins
// what config has read with the key files.
package spaconf
