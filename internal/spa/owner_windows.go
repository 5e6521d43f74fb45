package spa

import "io/fs"

// foreign knows of no owners.
func foreign(fs.FileInfo) error { return nil }
