package config

import (
	"fmt"
	"strings"
)

// NoSocket as ControlSocket has the daemon do without.
const NoSocket = "none"

// DefaultControlGroup is the group whose members may connect to the control
// socket if a file names no other.
const DefaultControlGroup = "knockctl"

// controlOptions say who may ask a running daemon, and where.
var controlOptions = []key[*Config]{
	parsed(func(c *Config) *string { return &c.ControlSocket }, parseSocket, "controlsocket").
		is(facts{spelled: "ControlSocket", reload: never, doc: "the socket on which knockctl asks the daemon, or none"}),
	parsed(func(c *Config) *string { return &c.ControlGroup }, parseAccount, "controlgroup").
		is(facts{spelled: "ControlGroup", reload: never, doc: "the group whose members may ask"}),
	parsed(func(c *Config) *[]string { return &c.ControlAdmins }, list(parseAccount), "controladmins").
		is(facts{spelled: "ControlAdmins", doc: "those of them who may see attempts and change things"}),
}

// maxSocketPath is how long the path of a socket may be: the kernel takes 107
// octets, also of the longer name under which the socket is made.
const maxSocketPath = 90

// parseSocket reads a path, or none.
func parseSocket(text string) (string, error) {
	if strings.EqualFold(text, NoSocket) {
		return NoSocket, nil
	}
	if len(text) > maxSocketPath {
		return "", fmt.Errorf("%s: must have at most %d octets", text, maxSocketPath)
	}
	return parsePath(text)
}

// parseAccount reads the name of a user or group, or its number. Whether there is
// one is not known here.
func parseAccount(text string) (string, error) {
	if text == "" || strings.ContainsAny(text, ":/,"+space) {
		return "", fmt.Errorf("%q: must be a name or a number", text)
	}
	return text, nil
}
