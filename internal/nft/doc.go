// Package nft is the native firewall: it opens and closes addresses in the
// kernel's nf_tables through netlink, without a shell or a program.
//
// Four modes decide whose rules do the work:
//
//   - [Guard]: a table of our own closes the doors' ports before everybody
//     else's chains, to all but opened addresses. A drop is final in any base
//     chain, so it works beside every firewall; the host's own rules must
//     accept the port. The table stays when the program ends.
//   - [Mark]: a table of our own marks packets of opened addresses; one rule
//     of the host's firewall accepts the mark.
//   - [Set]: elements go into sets of the host's own rules.
//   - [NAT]: beside one of the others, a table of our own leads the ports of
//     opened addresses to other hosts or ports.
//
// Openings are set elements with a timeout that the kernel enforces: a door
// closes whether or not the program still lives.
package nft
