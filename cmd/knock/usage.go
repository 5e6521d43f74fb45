package main

import "io"

// usageText is the one of knock 0.8.
const usageText = `usage: knock [options] <host> <port[:proto]> [port[:proto]] ...
options:
  -u, --udp            make all ports hits use UDP (default is TCP)
  -d, --delay <t>      wait <t> milliseconds between port hits
  -4, --ipv4           Force usage of IPv4
  -6, --ipv6           Force usage of IPv6
  -v, --verbose        be verbose
  -V, --version        display version
  -h, --help           this help

example:  knock myserver.example.com 123:tcp 456:udp 789:tcp

`

// helpText is what there is beyond knock 0.8.
const helpText = `more options:
  -w, --wait tcp/PORT  after the knocks wait until PORT is open
      --timeout <t>    wait no longer than <t> seconds (default 10)
      --retry <n>      knock up to <n> times again while shut (default 3)
      --both           knock at the host's IPv4 and IPv6 address
      --flags <list>   send TCP segments with these flags, such as syn,ack
      --source <addr>  knock from this address
      --interface <if> knock through this interface
      --one-time <file>       take the next unused sequence of a file
      --sequence-file <file>  read the sequence from a file, or - for stdin
      --profile <name> use this section of the configuration
      --config <file>  read this configuration (default ~/.config/knock/config)
      --dry-run        say what would be sent and send nothing
      --explain        say of each packet when and from where it went, and what
                       came back
      --json           print the outcome as JSON

also:     knock NAME                        a profile of the configuration
          knock profiles                    list them
          knock ssh [ssh's arguments]       knock, then log in
          knock proxy [options] HOST PORT   for ssh's ProxyCommand
          knock ssh-config NAME             print lines for ~/.ssh/config
          knock spa [options] HOST          one encrypted packet, as fwknop
          knock keygen                      make keys for that

exit status: 0 open (without --wait: sent), 1 usage, 2 name or network,
3 not open in time. See knock(1).
`

func printUsage(w io.Writer) { io.WriteString(w, usageText) }

func printHelp(w io.Writer) { io.WriteString(w, usageText+helpText) }
