// Package cgroup finds the control groups that the process is in, whose limits
// hold for it.
package cgroup

import (
	"iter"
	"os"
	"path"
	"strings"
)

// Mount is where control groups are found, of version 2, and of version 1 in a
// directory for each controller.
const Mount = "/sys/fs/cgroup"

// Own returns the text that names the groups of this process, "" if there are
// none: see cgroups(7), /proc/pid/cgroup.
func Own() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	return string(text)
}

// Dirs returns the directories below a mount of the groups that a text like
// Own's names, those of version 2 and those of a controller of version 1, and of
// all groups above them. In a container the names may be those of the host, and
// only the group at the root is there.
func Dirs(mount, groups, controller string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(groups) {
			part := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(part) < 3 || part[1] != "" && part[1] != controller {
				continue
			}
			for name := path.Clean("/" + part[2]); ; name = path.Dir(name) {
				if !yield(path.Join(mount, part[1], name)) {
					return
				}
				if name == "/" {
					break
				}
			}
		}
	}
}
