package journal

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"knockd/internal/event"
	"knockd/internal/statefile"
)

var errLost = errors.New("records were lost meanwhile")

// rewrite replaces the file by one that holds only the present. Writing and
// syncing the new file takes its time; meanwhile records go on to the old one,
// and those are copied at the end.
func (j *Journal) rewrite() {
	text, from, losses := j.snapshot()
	next, err := j.file.Successor(text, from)
	if err == nil {
		err = j.replace(next, int64(len(text)), losses)
	}
	if err != nil {
		j.mu.Lock()
		j.fail("write anew", err)
		j.mu.Unlock()
		return
	}
	_ = j.file.SyncName() // the old file would do as well
	_ = j.file.Sync()
}

// inOrder returns what the journal holds, the oldest first. The lock is held.
func (j *Journal) inOrder() []*Opening {
	return slices.SortedFunc(maps.Values(j.live), func(a, b *Opening) int { return cmp.Compare(a.ID, b.ID) })
}

// snapshot returns the present as a journal, and where the file stands with it.
func (j *Journal) snapshot() (text []byte, from int64, losses int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.present(), j.file.Size(), j.losses
}

// present returns what the journal holds, as text. The lock is held.
func (j *Journal) present() (text []byte) {
	if j.keep {
		text = appendLine(text, line{Do: doKeep})
	}
	for _, o := range j.inOrder() {
		text = appendLine(text, o.line())
		if o.Opened != 0 {
			text = appendLine(text, line{Do: doOpen, ID: o.ID, At: o.Opened})
		}
		if o.Stopping {
			text = appendLine(text, line{Do: doStopping, ID: o.ID})
		}
	}
	return text
}

// replace puts the new file in the old one's place. If something was lost since
// the snapshot, the new one lacks it too, and it is tried again.
func (j *Journal) replace(next *statefile.Successor, size int64, losses int) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.losses != losses {
		err = errLost
	} else {
		err = next.Commit()
	}
	if err != nil {
		next.Discard()
		return err
	}
	j.small = size
	if j.broken {
		j.broken = false
		j.log(event.JournalWritten{})
	}
	return nil
}
