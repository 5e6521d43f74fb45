// Package fwknop reads the files of fwknop 2.6: the server's access.conf and
// fwknopd.conf, the client's .fwknoprc.
//
// What the server's say becomes an Import: doors, their key files and a report
// of what was carried over, what changes its meaning and what cannot be carried
// over. What the client's says becomes a spa.Profile. The room writes nothing
// and reads files only through Files.
package fwknop
