// Package capture is where packets come from: an AF_PACKET socket with a
// filter in the kernel, or a capture file.
package capture
