package openings

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"knockd/internal/event"

	"golang.org/x/sys/unix"
)

// DefaultStateDir is where journals are kept without a StateDir.
const DefaultStateDir = "/var/lib/knockd"

// journalSlack is how much of a journal may be of the past before it is
// written anew; beside that, as much as it holds of the present.
const journalSlack = 256 << 10

// Journal remembers openings beyond the daemon's end: what has to be run to
// close them. It is written before the start command runs and synced beside
// it. While it cannot be written (full disk), openings go on, without that
// protection, and the log says so once.
type Journal struct {
	dir  *stateDir
	lock *os.File
	name string
	boot string // this boot's id
	wall func() time.Time
	now  func() time.Time // CLOCK_BOOTTIME
	log  func(event.Event)
	// retry is the pause between tries to write it anew after a write failed.
	retry time.Duration

	dirty  chan struct{} // holds one token: there is something to sync
	closed chan struct{}
	syncer sync.WaitGroup // it alone replaces file

	mu     sync.Mutex // over all that follows
	file   *os.File
	size   int64
	small  int64 // the size after it was last written anew
	live   map[uint64]*saved
	lastID uint64
	keep   bool
	losses int // writes that failed
	broken bool
	// damaged is how many lines could not be read when it was opened.
	damaged int
}

// OpenJournal opens the journal of that name (see JournalName) in a directory,
// makes both where they are not there, and locks it until Close.
//
// Errors: a *RunningError when another daemon has it; ErrUnsafe when somebody
// else could write it; else what the file system says.
func OpenJournal(dir, name string) (*Journal, error) {
	d, err := openStateDir(dir)
	if err != nil {
		return nil, err
	}
	return d.journal(name)
}

// FindJournal is OpenJournal for one that is there: it makes nothing. Without
// one the error is fs.ErrNotExist.
func FindJournal(dir, name string) (*Journal, error) {
	d, err := findStateDir(dir)
	if err != nil {
		return nil, err
	}
	f, err := d.find(name+".journal", 0)
	if err != nil {
		d.Close()
		return nil, err
	}
	f.Close()
	return d.journal(name)
}

// journal opens and locks a journal in the directory, which it closes if it
// cannot.
func (d *stateDir) journal(name string) (j *Journal, err error) {
	j = &Journal{
		dir: d, name: name + ".journal", boot: bootID(), wall: time.Now, now: bootClock, log: func(event.Event) {},
		retry: 5 * time.Second,
		dirty: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if j.lock, err = d.lock(name); err != nil {
		d.Close()
		return nil, err
	}
	if err := j.read(); err != nil {
		j.lock.Close()
		d.Close()
		return nil, err
	}
	j.syncer.Go(j.keepSynced)
	return j, nil
}

// read takes over what the file holds; a torn last line goes.
func (j *Journal) read() error {
	f, err := j.dir.open(j.name, unix.O_CREAT)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return err
	}
	p := replay(text)
	if err := f.Truncate(p.size); err != nil {
		f.Close()
		return err
	}
	j.file, j.size = f, p.size
	j.live, j.lastID, j.keep, j.damaged = p.live, p.lastID, p.keep, p.damaged
	return nil
}

// Close syncs and unlocks the journal; Managers that use it must have ended.
func (j *Journal) Close() error {
	close(j.closed)
	j.syncer.Wait()
	j.sync()
	return errors.Join(j.file.Close(), j.lock.Close(), j.dir.Close())
}

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

// setKeep writes down what a daemon does that stops.
func (j *Journal) setKeep(keep bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keep != keep {
		j.keep = keep
		j.append(record{Do: keepRecord(keep)})
	}
}

func keepRecord(keep bool) string {
	if keep {
		return recKeep
	}
	return recClose
}

// reliable reports whether all that is held is in the file.
func (j *Journal) reliable() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.broken
}

// opening is called before a start command runs.
func (j *Journal) opening(id uint64, o *Opening) {
	s := &saved{id: id, o: o, boot: j.boot, wall: j.wall().Format(time.RFC3339), at: j.now().UnixNano()}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live[id] = s
	j.append(s.opening())
}

// open is called when a start command has ended.
func (j *Journal) open(id uint64) {
	j.note(id, recOpen, func(s *saved) int64 { s.openAt = j.now().UnixNano(); return s.openAt })
}

// stopping is called before a stop command runs.
func (j *Journal) stopping(id uint64) {
	j.note(id, recStopping, func(s *saved) int64 { s.stopping = true; return 0 })
}

// failed is called when a stop command has ended with a status that says that
// it did not close the door.
func (j *Journal) failed(id uint64) {
	j.note(id, recFailed, func(s *saved) int64 { s.stopping = false; return 0 })
}

// ended is called when nothing is left to do.
func (j *Journal) ended(id uint64) {
	j.note(id, recEnded, func(*saved) int64 { delete(j.live, id); return 0 })
}

// note writes down a change of an opening that the journal holds.
func (j *Journal) note(id uint64, do string, change func(*saved) (at int64)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.live[id]; s != nil {
		at := change(s)
		j.append(record{Do: do, ID: id, At: at})
	}
}

// append writes a record, and nothing of it if it cannot be written whole. The
// lock is held.
func (j *Journal) append(r record) {
	line := appendRecord(nil, r)
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		_ = j.file.Truncate(j.size)
		j.fail("write", err)
	} else {
		j.size += int64(len(line))
	}
	j.touch()
}

// fail notes that the file does not hold everything. The lock is held.
func (j *Journal) fail(what string, err error) {
	j.losses++
	if !j.broken {
		j.broken = true
		j.log(event.JournalFailed{Doing: what, File: j.file.Name(), Err: cause(err)})
	}
}

// cause is an error without the path, which stands in the line already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
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
	if !j.reliable() || j.bloated() {
		j.rewrite()
	} else if err := unix.Fdatasync(int(j.file.Fd())); err != nil {
		j.mu.Lock()
		j.fail("sync", err)
		j.mu.Unlock()
	}
	return j.reliable()
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
	return !j.broken && j.size > 2*j.small+journalSlack
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // as no boot: openings found are closed at once
	}
	return strings.TrimSpace(string(b))
}

// bootClock is CLOCK_BOOTTIME: the time since the machine was started, suspend
// included, that nobody can set.
func bootClock() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Unix(0, 0) // since Linux 2.6.39 it does not fail
	}
	return time.Unix(ts.Unix())
}
