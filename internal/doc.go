// Package internal is the map of the house: it holds no code but the test that
// keeps the map honest.
//
// # The way of a packet
//
//	interface --> capture --> packet --> engine --> openings --> action: command, nft, nat, xtrecent
//
// From left to right, never back. A hit that matters takes one pass through
// one goroutine, the daemon's loop; whatever can block (commands, netlink, DNS,
// disk) happens to the right of the decision, in bounded workers.
//
// # The rooms
//
//   - action is the list of the ways to open and close doors, by the names that the rows of the configuration give
//     them.
//   - action/command runs one shell command of a door: /bin/sh -c, in a process group of its own, bounded in time.
//   - action/nat leads a port elsewhere for a knocker, in a table of its own in the kernel's nf_tables.
//   - action/nft opens and closes doors in the table that the daemon keeps in the kernel's nf_tables.
//   - action/xtrecent opens a door by writing an address to a list of the match recent: rules of iptables that name
//     the list let it in.
//   - capture is where packets come from: an AF_PACKET socket with a filter in the kernel, or a capture file.
//   - cgroup finds the control groups that the process is in, whose limits hold for it.
//   - check says what is wrong with a configuration on this host, and what would be safer: the one list that knockd -t
//     and knockctl check print.
//   - cli is how the project's commands speak: errors, hints, warnings and versions in one way for all of them.
//   - client is what happens on the knocker's side: find the address, send the hits of a sequence, wait until the door
//     is open, and carry on the connection that was made meanwhile.
//   - client/plan joins what the command line, the profile and .fwknoprc say into what to send to whom, and what to
//     wait for.
//   - config reads knockd.conf: text in, a checked Config out, or every fault of the file at once, each with its place
//     and the rule it breaks.
//   - conformance is for tests alone: it says what knockd 0.8 decides.
//   - control is what the control socket says: the Varlink interface knockd.control, its types, its errors, and which
//     events a reader may see.
//   - control/client asks a running knockd, through its control socket.
//   - control/server answers those who connect to the control socket: it speaks Varlink with them, knows their ranks,
//     and bounds what they can cost.
//   - control/show writes what a running knockd answers for people to read: how it is, who was let in, and what
//     happens.
//   - daemon joins the rooms of knockd: packets go from the capture through the tracker to the doors, left to right;
//     lines go to the log.
//   - demo shows a door on two hosts of its own: private network namespaces, joined by a virtual cable.
//   - engine decides: it takes hits and messages and says what they lead to, which doors open, which openings end, and
//     what happened.
//   - event is what happened, as values, and knockd's words for each kind.
//   - eventlog writes what people and their scripts read: knockd's log lines, in knockd 0.8's format, to the log file,
//     syslog, standard error or standard output.
//   - explain says why a knock has opened a door or has not: what each packet was, what became of it in a sentence,
//     and what to do about it.
//   - firewall says which tables of nf_tables the native doors of a configuration need, and what the host's own
//     firewall would do to them.
//   - fwknop reads the files of fwknop 2.6: the server's access.conf and fwknopd.conf, the client's .fwknoprc.
//   - history remembers who was let in: which door was open for whom, from when to when, and by what; in memory and,
//     if it is told to, in a file.
//   - hostnames looks up the host names of knockers, in the background.
//   - kernellog receives what compiled rulesets log: each packet that took a step comes from the kernel through NFLOG,
//     with the prefix its rule gave it.
//   - knock is the domain: which packets make up a knock, who has knocked what so far, and when a door opens.
//   - livetest holds tests of the whole daemon and nothing else: packets from another network namespace, real firewall
//     rules, a service that could not be reached and now can, and after cmd_timeout cannot again.
//   - netstate knows which network interfaces, local addresses and listening programs there are now, and tells of each
//     change of the first two.
//   - nettest gives tests hosts of their own: network namespaces joined by virtual cables, in which they run programs,
//     listen and dial.
//   - nft is the native firewall: it opens and closes addresses in the kernel's nf_tables through netlink, without a
//     shell or a program.
//   - nft/inspect says what the host's own rules would do with a packet: whether they spoil a native door, or let
//     everybody reach what it opens.
//   - offline decides on the packets of a capture file as the daemon decides on live ones.
//   - onetime reads and marks files of one-time sequences, in knockd 0.8's format: a sequence on each line, and a line
//     whose first character is # is used, or a comment.
//   - openings keeps the openings of doors: runs the start command, waits, and runs the stop command that belongs to
//     it.
//   - openings/journal remembers openings beyond the daemon's end: what has to be closed after a crash.
//   - packet turns the octets of an IP packet into a hit: who sent what to which port.
//   - profile reads the client's configuration: what there is to know about a host, so that its name suffices.
//   - replaycache remembers what may be used once: tokens with a time of their own, and a floor, at or below which
//     nothing is new.
//   - ruleset compiles doors into a firewall ruleset that knocks without a daemon, and loads or removes it: the text
//     of one nftables table, or of an iptables-restore file.
//   - setup looks at a host and proposes a first door for it: the configuration, what its knockers need, and what the
//     host's firewall lacks.
//   - spa is single-packet authorization, compatible with fwknop 2.6 in both directions: the packet's codec and
//     cryptography, key files, what a client asks for, and the Verifier, which decides what one packet opens.
//   - statefile opens files that root believes or writes: without waiting for a pipe, a terminal or a file system that
//     does not answer, of bounded size, and with one rule of who may write what root reads.
//   - trial remembers that a configuration is on trial, beyond the end of the daemon that tries it: a file beside the
//     journal says until when, and keeps the configuration that was in use before.
//
// # The words
//
// A door is a section of the configuration. A step is a port and a protocol, a
// sequence the steps of a door. A hit is a packet that could be a step, an
// attempt a source's progress through one door's sequence, a stage how far it
// is (1 after the first step). The knocker is the source address. An opening is
// a door that is open for one address, until a time; the start and stop command
// open and close it. A gateway is a host that runs knockd.
//
// # How to add
//
//   - A key of the file: its row in config (keys_*.go, options.go or doors.go), its field in config.go or types.go, and
//     the room that heeds it. The manual knows it, or a test fails.
//   - An action, a further way to open and close: a package beside those in action, a row made by actionKey in config,
//     and its line in action/action.go.
//   - A mode of the kernel's table: nft/mode_NAME.go, its name in nft/mode.go and in config/types.go, a sentence in
//     nft/doc.go.
//   - A way for a message to arrive: spa/transport.go, the switch in spa/door.go, its word in config/types.go,
//     engine/keys.go, and client/spa.go for the sender.
//   - A place that events go to: a Sink in eventlog, its word for Log in config/types.go, and its line in the map of
//     cmd/knockd/outputs.go.
//   - A kind of event: a type with its words in event, its keyword in event/keyword.go, and its line in the table of
//     event's test.
//   - A method of the control socket: knockd.control.varlink, its parameters in
//     control/calls.go and its row in daemon/control.go; a command of knockctl that
//     calls it. The manual knows it, or a test fails.
//   - A backend of rulesets without a daemon: a file in ruleset, and its line in ruleset/backend.go.
//
// # What always holds
//
//   - A door that opened closes: on time, on shutdown, after a crash at the next
//     start, after a reload that removed it. The stop command is the one that
//     belonged to the start command that ran.
//   - What a stranger sends costs a bounded amount of memory, log lines,
//     processes and disk.
//   - A configuration is taken whole or not at all, and every fault is said.
//   - The only text from the network that reaches a command is an IP address
//     that netip.Addr printed, and ports and protocols as numbers and fixed words.
//   - A capture that ends is said and retried; if there is none, the exit status
//     is not 0.
//   - Who knows one door does not shut another.
//   - Nobody is locked out by a daemon that does not listen, nor by a trial that
//     nobody has confirmed, though everything of ours is killed.
//   - The guard drops only what begins a connection.
//   - What was used once, or could not be admitted, never opens later.
//   - No file that root reads or writes can block it or feed it without bound.
//   - No sequence, key or one-time list stands in a log line or an error.
package internal
