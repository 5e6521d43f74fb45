// Package kernellog receives what compiled rulesets log: each packet that took a
// step comes from the kernel through NFLOG, with the prefix its rule gave it.
// What the prefix means is the caller's knowledge.
package kernellog
