package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// optionsName is the section that is no door. Its case counts, as in knockd
// 0.8.
const optionsName = "options"

var (
	optionRows = slices.Concat(ownOptions, controlOptions, historyOptions, nativeOptions, ruleOptions, forkOptions)
	optionKeys = newKeyTable(optionRows)
)

// ownOptions are those of knockd 0.8 and of the daemon itself.
var ownOptions = []key[*Config]{
	textKey("log file", func(c *Config) *string { return &c.LogFile }, "logfile").
		is(facts{spelled: "LogFile", doc: "the file that log lines are appended to"}),
	textKey("pid file", func(c *Config) *string { return &c.PidFile }, "pidfile").
		is(facts{spelled: "PidFile", reload: never, doc: "where -d writes the process id"}),
	parsed(func(c *Config) *[]string { return &c.Interfaces }, ParseInterfaces, "interface").
		is(facts{spelled: "Interface", follow: listComment, reload: never, doc: "the interfaces to listen on"}),
	{
		names: []string{"usesyslog"}, word: true, repeats: true,
		facts: facts{spelled: "UseSyslog", doc: "log to syslog, too"},
		read: func(c *Config, _ string) ([]string, error) {
			c.UseSyslog = true
			return []string{"usesyslog"}, nil
		},
		fields: oneField(func(c *Config) *bool { return &c.UseSyslog }),
	},

	parsed(func(c *Config) *string { return &c.StateDir }, parsePath, "statedir").
		is(facts{spelled: "StateDir", reload: never, doc: "where the journal and the used messages are kept"}),
	choice(func(c *Config) *bool { return &c.KeepOnStop }, "close", "keep", "onstop").
		is(facts{spelled: "OnStop", doc: "whether a stop closes the doors or keeps them"}),
	parsed(func(c *Config) *time.Duration { return &c.StartLimit }, parseSeconds, "start_limit").
		is(facts{spelled: "Start_Limit", follow: unitAndComment, reload: byDoors, doc: "how long a start command may run, where its door does not say"}),
	parsed(func(c *Config) *int { return &c.MaxAttempts }, between(1, maxAttempts), "maxattempts").
		is(facts{spelled: "MaxAttempts", follow: comment, reload: never, doc: "how many attempts are held at once"}),
	parsed(func(c *Config) *int { return &c.LogRate }, between(1, maxLogRate), "lograte").
		is(facts{spelled: "LogRate", follow: comment, doc: "how many lines a second strangers can cause"}),
	parsed(func(c *Config) *bool { return &c.LogFailures }, parseYes, "logfailures").
		is(facts{spelled: "LogFailures", doc: "whether failed attempts are logged"}),
	parsed(func(c *Config) *LogFormat { return &c.LogFormat }, wordOf(LogClassic, LogJSON), "logformat").
		is(facts{spelled: "LogFormat", doc: "how the log file is written: classic, or json for programs"}),
	parsed(func(c *Config) *[]LogSink { return &c.Log }, list(wordOf(logSinks...)), "log").
		is(facts{spelled: "Log", follow: listComment, doc: "where events go beside the log file: journald"}),
	parsed(func(c *Config) *SyslogFormat { return &c.SyslogFormat }, wordOf(SyslogClassic, SyslogRFC5424), "syslogformat").
		is(facts{spelled: "SyslogFormat", doc: "how lines to syslog are written: classic, or rfc5424"}),
}

// The largest values that make sense: about a gigabyte of attempts, and more
// lines a second than a disk takes.
const (
	maxAttempts = 1 << 24
	maxLogRate  = 1_000_000
)

// Interface names that are none.
const (
	AnyInterface = "any"           // every interface of the host
	DefaultRoute = "default-route" // the one that the default route uses
)

// maxInterfaces is how many interfaces may be named.
const maxInterfaces = 1000

// ParseInterfaces reads a list of interfaces separated by commas. Repeats are
// dropped.
func ParseInterfaces(list string) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		name = trim(name)
		if err := checkInterface(name); err != nil {
			return nil, err
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
		if len(out) > maxInterfaces {
			return nil, fmt.Errorf("more than %d interfaces: must be fewer, or any", maxInterfaces)
		}
	}
	if len(out) > 1 && slices.Contains(out, AnyInterface) {
		return nil, fmt.Errorf("%s includes all others: must stand alone", AnyInterface)
	}
	return out, nil
}

// checkInterface refuses what the kernel would (dev_valid_name in
// net/core/dev.c): such a name can never come into being. A name with a colon
// is the label of addresses, as eth0:1, which is as long at most.
func checkInterface(name string) error {
	const longest = 15 // IFNAMSIZ less the closing NUL
	base, label, labelled := strings.Cut(name, ":")
	switch {
	case name == "":
		return fmt.Errorf("an empty name: must name an interface")
	case len(name) > longest:
		return fmt.Errorf("interface %q: must have at most %d bytes", name, longest)
	case base == "." || base == ".." || strings.ContainsAny(name, "/"+space):
		return fmt.Errorf("interface %q: must not be a path and must not contain blanks or /", name)
	case labelled && (base == "" || label == ""):
		return fmt.Errorf("interface %q: must be an interface's name, or a label as eth0:1", name)
	}
	return nil
}
