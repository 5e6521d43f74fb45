package openings

import (
	"net/netip"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Opening is one door, opened for one knocker, with all that its commands
// need: a later change of the configuration does not change it.
type Opening struct {
	Door knock.DoorID
	Addr netip.Addr // the knocker
	Host string     // the knocker's name, for the log; may be empty

	Start string // start command, expanded; empty: nothing to run
	Stop  string // stop command, expanded; empty: the door is not closed by us
	Vars  Vars   // also the environment of both commands

	// Timeout (cmd_timeout) is the time from the end of the start command to
	// the stop command. 0 or more.
	Timeout time.Duration
	// StartLimit (start_limit) is how long the start command may run before it
	// is ended; 0: without limit, as knockd 0.8.
	StartLimit time.Duration

	// Kind names who opens and closes without a shell (Options.Natives); empty
	// for commands. With it Start, Stop and StartLimit mean nothing, a further
	// opening that differs in nothing but Host and Timeout replaces the one
	// before, and a Timeout of 0 means that nothing of ours closes the door.
	Kind string
	What string          // what a native opening opens, for the log: "tcp/22"
	Args knock.Arguments // what the native opener needs to know to close
}

// byCommand reports whether commands open and close it, and no Native.
func (o *Opening) byCommand() bool { return o.Kind == "" }

// closes reports whether the opening has to be closed by us.
func (o *Opening) closes() bool {
	if !o.byCommand() {
		return o.Timeout > 0
	}
	return o.Stop != ""
}

// empty reports whether there is nothing to open. A stop command without a
// start command does nothing, as in knockd 0.8.
func (o *Opening) empty() bool { return o.Start == "" && o.byCommand() }

// whom is for whom the door is open: the knocker, or the prefix around it.
func (o *Opening) whom() string {
	if o.Vars.IP != "" {
		return o.Vars.IP
	}
	return o.Addr.String()
}

// Vars is what commands can be told of an opening. Nothing in it is text from
// the network: addresses and ports are printed by us, the rest is the
// configuration's.
type Vars struct {
	IP    string // the knocker's address, or the prefix opened around it
	Door  string // the door's name
	Port  string // the port opened or last knocked at; may be empty
	Proto string // "tcp" or "udp"; may be empty

	// Of doors with keys; else all three are empty.
	Client string // whose keys, as the key file names them
	Src    string // the sender's address, which IP need not be
	Dst    string // the address the packet was sent to
}

// Expand replaces %IP%, %DOOR%, %PORT% and %PROTO% wherever they stand in a
// command, and %CLIENT%, %SRC% and %DST% if the door has keys, in one pass:
// what is put in is not looked at again.
func (v Vars) Expand(command string) string {
	if !strings.Contains(command, "%") {
		return command
	}
	pairs := []string{"%IP%", v.IP, "%DOOR%", v.Door, "%PORT%", v.Port, "%PROTO%", v.Proto}
	if v.Client != "" {
		pairs = append(pairs, "%CLIENT%", v.Client, "%SRC%", v.Src, "%DST%", v.Dst)
	}
	return strings.NewReplacer(pairs...).Replace(command)
}

// environment is v as a command's environment: KNOCK_IP and so on, without
// those that are empty.
func (v Vars) environment() []string {
	var env []string
	for _, e := range [...][2]string{
		{"KNOCK_IP", v.IP}, {"KNOCK_DOOR", v.Door}, {"KNOCK_PORT", v.Port}, {"KNOCK_PROTO", v.Proto},
		{"KNOCK_CLIENT", v.Client}, {"KNOCK_SRC", v.Src}, {"KNOCK_DST", v.Dst},
	} {
		if e[1] != "" {
			env = append(env, e[0]+"="+e[1])
		}
	}
	return env
}
