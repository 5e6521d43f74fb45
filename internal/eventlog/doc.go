// Package eventlog writes what people and their scripts read: knockd's log
// lines, in knockd 0.8's format, to the log file, syslog, standard error or
// standard output. Lines that strangers can cause are limited in number.
package eventlog
