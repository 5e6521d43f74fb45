// Package knock is the domain: which packets make up a knock, who has knocked
// what so far, and when a door opens. It is pure: time comes in as a value,
// decisions go out as values, and nothing here starts a goroutine, takes a
// lock, reads a clock or writes a log.
package knock
