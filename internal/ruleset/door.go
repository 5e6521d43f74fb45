package ruleset

import (
	"time"

	"knockd/internal/knock"
)

// Door is a door and what a ruleset does when it opens.
type Door struct {
	knock.Door
	Open       []knock.PortRange // the ports it opens to the knocker
	OpenOn     string            // the interface on which it opens them, as iptables writes it (ppp+); "" for all
	CmdTimeout time.Duration     // how long it stays open; 0: until another door closes it
	Closes     []string          // the doors whose openings it ends, by name
	// OpenPrefix4 and OpenPrefix6 say how much is opened around the knocker,
	// as the length of a prefix; 0 stands for the address alone.
	OpenPrefix4, OpenPrefix6 int
}

// Options are what is common to all doors of a ruleset.
type Options struct {
	// Interfaces are those on which knocks count; none means all.
	Interfaces []string
	// Observe lets the knocks pass to the rest of the firewall in place of
	// dropping them, and answers at closed doors as a closed port does.
	Observe bool
	// Live are ports on which a program of this host listens. Knocks on these
	// are only watched.
	Live []knock.Step
	// Prerouting puts the rules before destination NAT, for forwarded ports.
	Prerouting bool
	// Group is the NFLOG group of the log lines; 0 stands for DefaultGroup.
	Group uint16
	// StageRate is how many lines a second each stage of a door may log; 0
	// stands for DefaultStageRate, a negative number for no limit.
	StageRate int
	// IPv6 makes Iptables write a file for ip6tables-restore.
	IPv6 bool

	// For tests; 0 stands for the constants of the same names.
	fewDoors, treeFrom int
}

// DefaultGroup is the NFLOG group of the log lines if no other is named.
const DefaultGroup = 5

// DefaultStageRate is how many lines a second each stage of a door may log.
const DefaultStageRate = 20

func (o Options) group() uint16 {
	if o.Group == 0 {
		return DefaultGroup
	}
	return o.Group
}

func (o Options) stageRate() int {
	if o.StageRate == 0 {
		return DefaultStageRate
	}
	return o.StageRate
}
