// Package ruleset compiles doors into a firewall ruleset that knocks without a
// daemon, and loads or removes it: the text of one nftables table, or of an
// iptables-restore file. To compile touches no kernel and reads no file; the
// same input gives the same bytes. What is loaded goes through programs of the
// host, which whoever asks for it runs.
//
// What the compiled rules decide is what knock.Tracker decides, except for
// packets of established connections, loopback, packets that the kernel drops
// before the hook, fragments (conntrack joins them), and more addresses at
// once than a set (65,535) or a list of -m recent (100) holds.
package ruleset
