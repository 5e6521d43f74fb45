package openings

import (
	"cmp"
	"errors"
	"os"
	"slices"

	"knockd/internal/event"

	"golang.org/x/sys/unix"
)

var errLost = errors.New("records were lost meanwhile")

// rewrite replaces the file by one that holds only the present. Writing and
// syncing the new file takes its time; meanwhile records go on to the old one,
// and those are copied at the end.
func (j *Journal) rewrite() {
	text, from, losses := j.snapshot()
	name := j.name + ".new"
	f, err := j.writeNew(name, text)
	if err == nil {
		err = j.replace(f, name, int64(len(text)), from, losses)
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		j.dir.remove(name)
		j.mu.Lock()
		j.fail("write anew", err)
		j.mu.Unlock()
		return
	}
	_ = j.dir.dir.Sync() // the new name; the old file would do as well
	_ = unix.Fdatasync(int(f.Fd()))
}

// snapshot is the present as a journal, and where the file stands with it.
func (j *Journal) snapshot() (text []byte, from int64, losses int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*saved, 0, len(j.live))
	for _, s := range j.live {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *saved) int { return cmp.Compare(a.id, b.id) })
	if j.keep {
		text = appendRecord(text, record{Do: recKeep})
	}
	for _, s := range all {
		text = appendRecord(text, s.opening())
		if s.openAt != 0 {
			text = appendRecord(text, record{Do: recOpen, ID: s.id, At: s.openAt})
		}
		if s.stopping {
			text = appendRecord(text, record{Do: recStopping, ID: s.id})
		}
	}
	return text, j.size, j.losses
}

func (j *Journal) writeNew(name string, text []byte) (*os.File, error) {
	j.dir.remove(name) // of a daemon that died while it wrote it
	f, err := j.dir.open(name, unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(text, 0); err == nil {
		err = f.Sync()
	}
	return f, err
}

// replace puts the new file in the old one's place, with what was written to
// the old one since the snapshot. If something was lost since then, the new
// one lacks it too, and it is tried again.
func (j *Journal) replace(f *os.File, name string, size, from int64, losses int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.losses != losses {
		return errLost
	}
	tail := make([]byte, j.size-from)
	if _, err := j.file.ReadAt(tail, from); err != nil && len(tail) > 0 {
		return err
	}
	if _, err := f.WriteAt(tail, size); err != nil {
		return err
	}
	if err := j.dir.rename(name, j.name); err != nil {
		return err
	}
	j.file.Close()
	j.file, j.size, j.small = f, size+int64(len(tail)), size
	if j.broken {
		j.broken = false
		j.log(event.JournalWritten{})
	}
	return nil
}
