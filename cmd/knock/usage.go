package main

import (
	"fmt"
	"io"
)

// version is set when a release is built (-ldflags "-X main.version=...").
var version = "devel"

// usageText begins as the one of knock 0.8 does.
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

func printUsage(w io.Writer) { io.WriteString(w, usageText) }

func printVersion(w io.Writer) { fmt.Fprintf(w, "knock %s\n", version) }
