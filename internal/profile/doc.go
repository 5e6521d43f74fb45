// Package profile reads the client's configuration: what there is to know
// about a host, so that its name suffices.
package profile
