// Package explain says why a knock has opened a door or has not: what each packet
// was, what became of it in a sentence, and what to do about it.
//
// It decides nothing. What packets were is found out by who decides, the engine,
// and comes as values; a Teller makes a Story of all that a source sent while it
// knocked. Ports that belong to a sequence are named by their step, unless they
// are asked for.
package explain
