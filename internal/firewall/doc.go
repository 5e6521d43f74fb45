// Package firewall says which tables of nf_tables the native doors of a
// configuration need, and what the host's own firewall would do to them.
package firewall
