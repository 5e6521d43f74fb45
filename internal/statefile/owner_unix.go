//go:build !windows

package statefile

import (
	"io/fs"
	"os"
	"syscall"
)

// hasModes: a file's mode says who may read and write it.
const hasModes = true

func owner(info fs.FileInfo) (uid uint32, foreign bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, s.Uid != 0 && int(s.Uid) != os.Geteuid()
}
