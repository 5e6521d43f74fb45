// Package fwknop reads the configuration of fwknopd 2.6 (access.conf and
// fwknopd.conf) and says in knockd's words what it means: doors, their key files
// and a report of what was carried over, what changes its meaning and what
// cannot be carried over. It writes nothing and reads files only through Files.
package fwknop
