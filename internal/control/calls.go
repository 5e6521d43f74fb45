package control

import (
	"net/netip"
	"time"
)

// Parameters of calls and replies: xArgs goes in, xReply comes out.

// StatusReply answers Status, which takes nothing.
type StatusReply struct {
	Rank        Rank         `json:"rank"`
	Version     string       `json:"version"`
	PID         int          `json:"pid"`
	Started     time.Time    `json:"started"`
	Config      string       `json:"config"`
	Interfaces  []ListenedOn `json:"interfaces"`
	Doors       int          `json:"doors"`
	Disabled    int          `json:"disabled"`
	Openings    Count        `json:"openings"`
	Refused     uint64       `json:"refused"`
	Failed      uint64       `json:"failed"`
	Limits      []Limit      `json:"limits"`
	Confinement Confinement  `json:"confinement"`
	Reload      *LastReload  `json:"reload,omitempty"`
	Firewall    *Firewall    `json:"firewall,omitempty"`
	Hits        *Hits        `json:"hits,omitempty"`
}

// DoorsReply answers Doors, which takes nothing.
type DoorsReply struct {
	Doors   []Door `json:"doors"`
	LeftOut int    `json:"left_out"`
}

// Selection narrows Openings, Attempts, Watch and Explain: to a door and to an
// address. The zero value takes all.
type Selection struct {
	Door    string     `json:"door,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
}

// OpeningsReply answers Openings, which takes a Selection.
type OpeningsReply struct {
	Openings []Opening `json:"openings"`
	LeftOut  int       `json:"left_out"`
}

// AttemptsReply answers Attempts, which takes a Selection.
type AttemptsReply struct {
	Attempts []Attempt `json:"attempts"`
	LeftOut  int       `json:"left_out"`
}

// HistoryArgs are what History takes.
type HistoryArgs struct {
	Since   time.Time  `json:"since,omitzero"`
	Door    string     `json:"door,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
}

// HistoryReply answers History.
type HistoryReply struct {
	Visits  []Visit `json:"visits"`
	LeftOut int     `json:"left_out"`
}

// WatchReply is one of the answers to Watch, which takes a Selection.
type WatchReply struct {
	Events []Event `json:"events"`
	Lost   int     `json:"lost"`
}

// OpenArgs are what Open takes.
type OpenArgs struct {
	Door    string   `json:"door"`
	Address string   `json:"address"`
	Ports   []string `json:"ports,omitempty"`
	Seconds *Seconds `json:"seconds,omitempty"`
	Force   bool     `json:"force,omitempty"`
}

// OpenReply answers Open.
type OpenReply struct {
	Openings []Opening `json:"openings"`
}

// CloseArgs are what Close takes.
type CloseArgs struct {
	Door    string     `json:"door,omitempty"`
	All     bool       `json:"all,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
}

// CloseReply answers Close.
type CloseReply struct {
	Closed int `json:"closed"`
	Left   int `json:"left"`
}

// ReloadReply answers Reload, which takes nothing.
type ReloadReply struct {
	Doors    int      `json:"doors"`
	Warnings []string `json:"warnings"`
}

// ExplainReply is one of the answers to Explain, which takes a Selection.
type ExplainReply struct {
	Packets []Packet `json:"packets"`
	Missed  int      `json:"missed"`
}

// TrialArgs are what Trial takes.
type TrialArgs struct {
	Seconds *Seconds `json:"seconds,omitempty"`
}

// TrialReply answers Trial.
type TrialReply struct {
	Trial *OnTrial `json:"trial,omitempty"`
}

// ConfirmReply answers Confirm, which takes nothing.
type ConfirmReply struct {
	Closed []string `json:"closed"`
}
