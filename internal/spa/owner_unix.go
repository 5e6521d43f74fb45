//go:build !windows

package spa

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreign says who else owns a file, and so could put other keys there.
func foreign(info fs.FileInfo) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to user %d: must belong to root, or to the user that knockd runs as", s.Uid)
	}
	return nil
}
