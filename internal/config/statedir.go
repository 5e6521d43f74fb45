package config

import (
	"os"
	"strings"

	"knockd/internal/statefile"
)

// StateDir returns the StateDir that a configuration or one of its drop-ins
// names, the last one if there are several, although the rest of it may be
// faulty; "" if none does. Whoever closes doors must not depend on a file
// without faults; but a file that Load refuses as a whole, since it is another
// user's or no file, says nothing here either, and is named in the warnings.
func StateDir(path string) (dir string, warnings []string) { return lastValue(path, "statedir") }

// ControlSocket is StateDir for the ControlSocket, or NoSocket.
func ControlSocket(path string) (socket string, warnings []string) {
	socket, warnings = lastValue(path, "controlsocket")
	if strings.EqualFold(socket, NoSocket) {
		socket = NoSocket
	}
	return socket, warnings
}

// lastValue returns what the files of a configuration say at last of an option that
// has a name.
func lastValue(path, option string) (value string, warnings []string) {
	l := loader{root: os.Geteuid() == 0}
	text, _, err := statefile.Source{Max: maxFile, Own: true}.Read(path)
	if err != nil {
		l.fault(path, err)
	}
	for _, s := range append([]source{{path, text}}, l.dropIns(path+".d")...) {
		if found := optionIn(string(s.text), option); found != "" {
			value = found
		}
	}
	for _, f := range l.faults {
		warnings = append(warnings, f.Error())
	}
	return value, warnings
}

// optionIn reads as Parse does, but passes over what is faulty.
func optionIn(text, option string) (value string) {
	for s := range split("", []byte(text), func(*Fault) {}) {
		if s.name != optionsName {
			continue
		}
		for _, item := range s.items {
			if k := optionKeys.find(item.key); k != nil && k.names[0] == option && item.value != "" {
				value = item.value
			}
		}
	}
	return value
}
