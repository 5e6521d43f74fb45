// Package statefile opens files that root believes or writes: without waiting
// for a pipe, a terminal or a file system that does not answer, of bounded size,
// and with one rule of who may write what root reads. On Linux it keeps state
// there: in a directory that was checked, under a lock, in files that grow by
// whole lines and are replaced at once.
package statefile
