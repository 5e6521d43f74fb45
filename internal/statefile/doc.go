// Package statefile opens files that root believes or writes: without waiting
// for a pipe, a terminal or a file system that does not answer, of bounded size,
// and with one rule of who may write what root reads.
package statefile
