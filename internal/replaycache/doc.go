// Package replaycache remembers what may be used once: tokens with a time of their
// own, and a floor, at or below which nothing is new. A token that was entered
// is used from then on, and counts as safe when it is on disk, not before;
// whatever is in doubt is refused.
//
// The file has one line a token, appended and synced at once, with all others
// that have gathered meanwhile. From time to time, and at every start, it is
// written anew without the lines that are old: the newest time that went
// becomes the floor. So a clock that is set back, a machine without a clock and
// a restored disk cannot make an old token new again. What a file lost together
// with its newest lines cannot be known.
//
// A lock file stays beside it. If the lock is there and the file is gone, it was
// taken away while nobody watched: tokens with a time somewhat ahead, as of a
// client with a fast clock, may have been used, so the floor is as far ahead.
package replaycache
