package statefile

import "io/fs"

// hasModes: who may read and write a file is not in its mode.
const hasModes = false

func owner(fs.FileInfo) (uid uint32, foreign bool) { return 0, false }
