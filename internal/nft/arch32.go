//go:build (386 || arm || mips || mipsle) && !nftables32

package nft

import _ "embed"

// For 32-bit systems one line of github.com/google/nftables has to be changed,
// and make does it: see .ci/arch32. Whoever has go build such a system without it
// is told by the pattern, which matches no file.
//
//go:embed "to build for a 32-bit system use make GOARCH=... or sh .ci/go build"
var _ string
