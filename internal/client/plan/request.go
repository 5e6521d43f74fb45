package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/client"
	"knockd/internal/knock"
	"knockd/internal/profile"
	"knockd/internal/spa"
)

// Request is what the command line says. What it does not say is nil, empty or
// zero.
type Request struct {
	Host  string
	Ports []string // a word each, or several with commas

	Config  string // the configuration, in place of the usual one
	Profile string // the section to use, in place of the host's

	UDP                   bool // all steps are of UDP
	IPv4, IPv6, Both      bool
	Delay, Timeout        *time.Duration
	Retry                 *int
	Wait                  uint16 // the TCP port to wait for
	Flags                 knock.Flags
	Source                netip.Addr
	Interface             *string
	OneTime, SequenceFile *string
	SPA                   *SPA // nil unless a packet is to be sent

	Getenv func(string) string
	Stdin  io.Reader // the sequence, if the file's name is a dash
}

// SPA is what the command line says of a packet.
type SPA struct {
	spa.Profile
	OpenTime, Offset *time.Duration // Timeout and TimeOffset, for which 0 is an answer
	FromSource       bool           // open for the address that the packet comes from
	Resolve          bool           // open for the address that a web site sees
	STUN             string         // ask this server for it
	Keys             string         // a file
	KeyClient        string         // whose, in that file
	Stanza, RCFile   string         // of .fwknoprc
	IPv6             bool
}

// Reporter takes warnings, and what is sent.
type Reporter interface {
	Warn(text, hint string)
	Hit(netip.Addr, knock.Step)
	Packet(proto string, to netip.AddrPort)
	Retry(repeat int)
}

// MistakeError is the user's mistake, with what to do instead.
type MistakeError struct {
	error
	hint string
}

// Unwrap returns the error.
func (e *MistakeError) Unwrap() error { return e.error }

// Hint says what to do instead; it may be empty.
func (e *MistakeError) Hint() string { return e.hint }

func mistake(err error, hint string) error { return &MistakeError{err, hint} }

func mistakef(hint, format string, args ...any) error {
	return mistake(fmt.Errorf(format, args...), hint)
}

// contradictions finds options that exclude each other.
func (q *Request) contradictions() error {
	sources := 0
	for _, given := range []bool{len(q.Ports) > 0, filled(q.OneTime), filled(q.SequenceFile)} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return mistakef("choose one of them", "ports, --one-time and --sequence-file exclude each other")
	case q.Both && (q.IPv4 || q.IPv6):
		return mistakef("leave out -4 and -6", "--both means IPv4 and IPv6")
	case q.OneTime != nil && *q.OneTime == "", q.SequenceFile != nil && *q.SequenceFile == "":
		return mistakef("", "the name of the file is empty")
	}
	return nil
}

func filled(text *string) bool { return text != nil && *text != "" }

// ConfigFile returns the path of the configuration, or "" if there is no home
// for it.
func (q *Request) ConfigFile() string {
	if q.Config != "" {
		return q.Config
	}
	return profile.Path(q.Getenv)
}

// ConfigName is ConfigFile for messages.
func (q *Request) ConfigName() string {
	if file := q.ConfigFile(); file != "" {
		return file
	}
	return "the configuration"
}

// LoadConfig reads the configuration.
func (q *Request) LoadConfig() (*profile.Config, error) {
	config, err := profile.Load(q.ConfigFile(), q.Getenv("HOME"))
	if err != nil {
		return nil, mistake(err, "correct the file; knock(1) lists its keys under PROFILES")
	}
	return config, nil
}

// FindProfile returns the profile to use, an empty one if there is none.
func (q *Request) FindProfile(r Reporter) (profile.Profile, error) {
	config, err := q.LoadConfig()
	if errors.Is(err, fs.ErrPermission) && q.Config == "" && q.Profile == "" {
		// Somebody else's HOME, as after su: what the command line says may do.
		r.Warn(err.Error(), "set HOME, or name a file of your own with --config")
		return profile.Profile{}, nil
	}
	if err != nil {
		return profile.Profile{}, err
	}
	warnExposed(r, q.ConfigFile())
	name := cmp.Or(q.Profile, q.Host)
	prof, ok := config.Find(name)
	if !ok && q.Profile != "" {
		return prof, mistakef(fmt.Sprintf("write a section [%s] into %s; knock profiles lists those that are there", name, q.ConfigName()), "no profile %s", name)
	}
	return prof, nil
}

// warnExposed warns of a file with a secret that others can read or change.
func warnExposed(r Reporter, file string) {
	if file != "" && profile.Exposed(file) {
		r.Warn(file+" holds a secret and is open to others", "chmod 600 "+file)
	}
}

// elsewhere reports whether the command line names another host than that of
// the profile.
func (q *Request) elsewhere(prof profile.Profile) bool {
	return q.Profile != "" && q.Host != "" && !strings.EqualFold(q.Host, q.Profile) && q.Host != prof.Host
}

// hostOf returns the name to look up.
func (q *Request) hostOf(prof profile.Profile) string {
	if q.elsewhere(prof) {
		return q.Host
	}
	return cmp.Or(prof.Host, q.Host, q.Profile)
}

// family returns the address family asked for. As in knock 0.8, -6 wins over
// -4.
func (q *Request) family(prof profile.Profile) client.Family {
	switch {
	case q.Both:
		return client.Both
	case q.IPv6:
		return client.IPv6
	case q.IPv4:
		return client.IPv4
	}
	return pick(client.Any, prof.Family)
}

// pick returns the first value that was said, or else the default.
func pick[T any](otherwise T, said ...*T) T {
	for _, v := range said {
		if v != nil {
			return *v
		}
	}
	return otherwise
}
