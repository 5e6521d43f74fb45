// Package journal remembers openings beyond the daemon's end: what has to be
// closed after a crash.
package journal

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/statefile"
)

// slack is how much of a journal may be of the past before it is written anew;
// beside that, as much as it holds of the present.
const slack = 256 << 10

// Journal holds what has to be run to close openings. An opening is written
// down before its start command runs, and synced beside it. While the file
// cannot be written (full disk), openings go on, without that protection, and
// the log says so once.
type Journal struct {
	dir  *statefile.Dir
	lock *os.File
	boot string // this boot's id
	wall func() time.Time
	// retry is the pause between tries to write it anew after a write failed.
	retry time.Duration

	dirty  chan struct{} // holds one token: there is something to sync
	closed chan struct{}
	syncer sync.WaitGroup // it alone replaces the file

	mu     sync.Mutex // over all that follows
	now    func() time.Time
	log    func(event.Event)
	file   *statefile.Log
	small  int64 // the size after it was last written anew
	live   map[uint64]*Opening
	lastID uint64
	keep   bool
	losses int // writes that failed
	broken bool
	// damaged is how many lines could not be read when it was opened.
	damaged int
}

// open opens and locks a journal in the directory, which it closes if it
// cannot.
func open(d *statefile.Dir, name string) (j *Journal, err error) {
	j = &Journal{
		dir: d, boot: bootID(), wall: time.Now, now: BootTime, log: func(event.Event) {},
		retry: 5 * time.Second,
		dirty: make(chan struct{}, 1), closed: make(chan struct{}),
		file: d.Log(name + ".journal"),
	}
	if j.lock, err = lock(d, name); err != nil {
		d.Close()
		return nil, err
	}
	if err := j.read(); err != nil {
		j.lock.Close()
		d.Close()
		return nil, notSafe(err)
	}
	j.syncer.Go(j.keepSynced)
	return j, nil
}

// read takes over what the file holds; a torn last line goes.
func (j *Journal) read() error {
	text, err := j.file.Open(os.O_CREATE, 0)
	if err != nil {
		return err
	}
	p := replay(text)
	if err := j.file.Cut(p.size); err != nil {
		j.file.Close()
		return err
	}
	j.live, j.lastID, j.keep, j.damaged = p.live, p.lastID, p.keep, p.damaged
	return nil
}

// Close syncs and unlocks the journal; who writes to it must have ended.
func (j *Journal) Close() error {
	close(j.closed)
	j.syncer.Wait()
	j.sync()
	return errors.Join(j.file.Close(), j.lock.Close(), j.dir.Close())
}

// SetClock changes the clock that openings are timed by, in place of BootTime.
func (j *Journal) SetClock(now func() time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now = now
}

// SetLog changes who is told that the file cannot be written, and that it can.
func (j *Journal) SetLog(log func(event.Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = log
}

// Path returns the path of the file.
func (j *Journal) Path() string { return j.file.Path() }

// LastID returns the highest number that an opening has had.
func (j *Journal) LastID() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastID
}

// Damaged returns how many lines could not be read when the file was opened.
func (j *Journal) Damaged() int { return j.damaged }

// Keep reports whether the daemon that wrote the journal last was told to leave
// its openings open when it stops (OnStop = keep).
func (j *Journal) Keep() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.keep
}

// Len returns how many openings the journal holds.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live)
}

// Found returns what the journal holds, the oldest first.
func (j *Journal) Found() []Opening {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Opening, 0, len(j.live))
	for _, o := range j.inOrder() {
		all = append(all, *o)
		all[len(all)-1].SameBoot = o.boot == j.boot && j.boot != ""
	}
	return all
}

// SetKeep writes down what a daemon does that stops.
func (j *Journal) SetKeep(keep bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keep != keep {
		j.keep = keep
		j.append(line{Do: willOf(keep)})
	}
}

func willOf(keep bool) string {
	if keep {
		return doKeep
	}
	return doClose
}

// Reliable reports whether all that is held is in the file.
func (j *Journal) Reliable() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.broken
}

// Begin is called before a start command runs.
func (j *Journal) Begin(id uint64, opening knock.Opening) {
	j.mu.Lock()
	defer j.mu.Unlock()
	o := &Opening{ID: id, Opening: opening, boot: j.boot, wall: j.wall().Format(time.RFC3339), Begun: j.now().UnixNano()}
	j.live[id] = o
	j.append(o.line())
}

// Opened is called when a start command has ended.
func (j *Journal) Opened(id uint64) {
	j.note(id, doOpen, func(o *Opening) int64 { o.Opened = j.now().UnixNano(); return o.Opened })
}

// Stopping is called before a stop command runs.
func (j *Journal) Stopping(id uint64) {
	j.note(id, doStopping, func(o *Opening) int64 { o.Stopping = true; return 0 })
}

// Failed is called when a stop command has ended with a status that says that
// it did not close the door.
func (j *Journal) Failed(id uint64) {
	j.note(id, doFailed, func(o *Opening) int64 { o.Stopping = false; return 0 })
}

// Ended is called when nothing is left to do.
func (j *Journal) Ended(id uint64) {
	j.note(id, doEnded, func(*Opening) int64 { delete(j.live, id); return 0 })
}

// note writes down a change of an opening that the journal holds.
func (j *Journal) note(id uint64, do string, change func(*Opening) (at int64)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if o := j.live[id]; o != nil {
		at := change(o)
		j.append(line{Do: do, ID: id, At: at})
	}
}

// append writes a line. The lock is held.
func (j *Journal) append(l line) {
	if err := j.file.Append(appendLine(nil, l)); err != nil {
		j.fail("write", err)
	}
	j.touch()
}

// fail notes that the file does not hold everything. The lock is held.
func (j *Journal) fail(doing string, err error) {
	j.losses++
	if !j.broken {
		j.broken = true
		j.log(event.JournalFailed{Doing: doing, File: j.Path(), Err: cause(err)})
	}
}

// cause returns an error without the path, which stands in the line already.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// keepSynced brings to the disk what was written. While that fails changes
// gather for a while, as each try costs a write of the whole journal.
func (j *Journal) keepSynced() {
	for {
		select {
		case <-j.dirty:
		case <-j.closed:
			return
		}
		if j.sync() {
			continue
		}
		select {
		case <-time.After(j.retry):
			j.touch()
		case <-j.closed:
			return
		}
	}
}

// sync syncs the file, or writes it anew when it lacks something or is full of
// the past. It reports whether everything is in it.
func (j *Journal) sync() bool {
	if !j.Reliable() || j.bloated() {
		j.rewrite()
	} else if err := j.file.Sync(); err != nil {
		j.mu.Lock()
		j.fail("sync", err)
		j.mu.Unlock()
	}
	return j.Reliable()
}

// touch has the file synced soon.
func (j *Journal) touch() {
	select {
	case j.dirty <- struct{}{}:
	default:
	}
}

func (j *Journal) bloated() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.broken && j.file.Size() > 2*j.small+slack
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // as no boot: openings found are closed at once
	}
	return strings.TrimSpace(string(b))
}
