// Package livetest holds tests of the whole daemon and nothing else: packets
// from another network namespace, real firewall rules, a service that could
// not be reached and now can, and after cmd_timeout cannot again. On request it
// also measures the daemon beside its peers (make bench-peer) and torments it
// for as long as one likes (make soak).
package livetest
