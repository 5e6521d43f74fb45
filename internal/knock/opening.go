package knock

import (
	"net/netip"
	"strings"
	"time"
)

// Opening is one door, opened for one knocker, with all that opening and closing
// it take: a later change of the configuration does not change it.
type Opening struct {
	Door DoorID
	Addr netip.Addr // the knocker
	Host string     // the knocker's name, for the log; may be empty
	Vars Vars       // what an action may be told
	UID  *uint32    // the user who had it opened by hand; nil: nobody did

	// Timeout (cmd_timeout) is how long it stays open: the time from the end of
	// its beginning to its close, 0 or more.
	Timeout time.Duration

	Action string // names the action that opens and closes it; "": nothing does
	Mark   string // names it for whoever looks for it after a crash; may be empty
	What   string // what the action opens, for the log: "tcp/22"
	Args   Arguments
}

// Arguments are what an action needs to know to open and close, whatever has
// become of the configuration meanwhile. Which of them count depends on the
// action.
type Arguments struct {
	// Version is 1 for arguments as they are here. A journal may hold others.
	Version int
	Port    Step           // the one port that is open; the zero Step: all of the door's
	To      netip.AddrPort // where the port leads
	Value   string         // of the key that names the action

	// Commands, expanded; empty: nothing to run.
	Start, Stop string
	// StartLimit (start_limit) is how long the start command may run before it
	// is ended; 0: without limit, as knockd 0.8.
	StartLimit time.Duration
}

// Traits are what makes actions differ for those who keep their openings.
type Traits struct {
	// Beside: a further opening for a knocker stands beside the one before. Else
	// one that differs in nothing but Host and Timeout replaces it.
	Beside bool
	// OwnWorkers: its openings hold up none of other actions.
	OwnWorkers bool
	// Runs: it runs programs. Beginning and exit status of each are told; one that
	// began may have done its work, whatever its status; start_limit bounds the
	// one that opens, and without one that closes nothing closes.
	Runs bool
}

// For returns for whom the door is open: the knocker, or the prefix around it.
func (o *Opening) For() string {
	if o.Vars.IP != "" {
		return o.Vars.IP
	}
	return o.Addr.String()
}

// Network returns For as a network, of a single address if it is the knocker's.
func (o *Opening) Network() netip.Prefix {
	if p, err := netip.ParsePrefix(o.Vars.IP); err == nil {
		return p.Masked()
	}
	return netip.PrefixFrom(o.Addr, o.Addr.BitLen())
}

// Vars is what commands can be told of an opening. Nothing in it is text from
// the network: addresses and ports are printed by us, the rest is the
// configuration's.
type Vars struct {
	IP    string // the knocker's address, or the prefix opened around it
	Door  string // the door's name
	Port  string // the port opened or last knocked at; may be empty
	Proto string // "tcp" or "udp"; may be empty

	// Of SPA doors; else all three are empty.
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

// Environment returns v as a command's environment: KNOCK_IP and so on, without
// those that are empty.
func (v Vars) Environment() []string {
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
