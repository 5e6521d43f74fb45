// Command demo shows a door on two hosts of its own: private network
// namespaces, joined by a virtual cable. The machine's network is not touched,
// and no program is needed beside knockd and knock.
package main
