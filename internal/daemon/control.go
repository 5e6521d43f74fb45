package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/event"
	"knockd/internal/eventlog"
)

// Control says where, and to whom, a daemon answers questions.
type Control struct {
	Socket string // an absolute path
	// Named: the configuration asks for it, and is told why it is not there. Else
	// it is nice to have.
	Named bool
	Group string // whose members may connect, by name or number
	// GroupNamed: the configuration asks for that group.
	GroupNamed bool
	Version    string // of knockd
	ConfigFile string // absolute
}

// desk answers those who connect to the control socket. What it needs of the loop
// it asks for at most some times a second, whoever asks it.
type desk struct {
	d        *Daemon
	started  time.Time
	gid      int // of those who may connect; -1: root alone may
	access   atomic.Pointer[server.Access]
	hub      server.Hub
	counters counters
	sight    sight
	paced    pace // the loop's
	server   *server.Server
	listener *server.Listener
}

// group returns the number of the group that may connect.
func (c *Control) group() (gid int, doubts []event.Event, err error) {
	gid, doubt, err := server.Group(c.Group, c.GroupNamed, os.Getegid())
	if doubt != "" {
		doubts = event.Findings([]string{doubt})
	}
	return gid, doubts, err
}

// openDesk begins to answer, unless there is no socket.
func (d *Daemon) openDesk() {
	if d.Control == nil {
		return
	}
	gid, doubts, err := d.Control.group()
	if err != nil { // New has seen to it, and what it saw has changed
		d.Log.Event(event.SocketFailed{Err: err})
		return
	}
	l, err := server.Listen(server.Socket{
		Path: d.Control.Socket, GID: gid, MakeDir: d.Control.Socket == control.DefaultSocket,
	})
	if err != nil {
		if d.Control.bears(err) {
			d.verbosely(event.SocketMissing{Err: err})
		} else {
			d.Log.Event(event.SocketFailed{Err: err})
		}
		return
	}
	if l.Doubt != nil {
		doubts, gid = event.Findings([]string{"control socket " + l.Doubt.Error()}), -1
	}
	d.logAll(doubts)
	d.desk = newDesk(d, gid)
	d.desk.listener = l
	go d.desk.server.Serve(l.UnixListener)
}

// newDesk answers, but listens nowhere.
func newDesk(d *Daemon, gid int) *desk {
	k := &desk{d: d, started: d.Now(), gid: gid}
	k.admit(d.conf)
	k.hub.Admins = func() { go d.post(d.rewatch) }
	d.Log.Tap(func(r *eventlog.Record) {
		k.hub.Event(r.At, r.Event)
		k.counters.event(r.At, r.Event)
	})
	k.server = server.New(server.Options{Version: d.Control.Version, Methods: k.methods(), RankOf: k.rankOf})
	return k
}

// bears reports whether nobody needs to know that there is no socket: who did not
// ask for one bears it that another daemon has it, or that there is no right to
// make it.
func (c *Control) bears(err error) bool {
	living := (*server.LivingError)(nil)
	return !c.Named && (errors.As(err, &living) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}

// admit has the admins of a configuration as such from then on.
func (k *desk) admit(conf *config.Config) {
	access, doubts := server.NewAccess(k.gid, conf.ControlAdmins)
	k.access.Store(access)
	k.d.logAll(event.Findings(doubts))
}

// readmit is admit after a reload: those whose rank is another one begin anew. It
// does not keep the loop waiting for the files of users and groups.
func (k *desk) readmit(conf *config.Config) {
	if k == nil {
		return
	}
	k.d.background.Go(func() {
		before := k.access.Load()
		k.admit(conf)
		k.server.Drop(func(p server.Peer) bool { return before.RankOf(p) != k.rankOf(p) })
	})
}

func (k *desk) rankOf(p server.Peer) control.Rank { return k.access.Load().RankOf(p) }

// methods returns what the socket answers.
func (k *desk) methods() map[string]server.Method {
	return map[string]server.Method{
		control.MethodStatus:   {Rank: control.Reader, Do: k.status},
		control.MethodDoors:    {Rank: control.Reader, Do: k.doors},
		control.MethodOpenings: {Rank: control.Reader, Do: k.openings},
		control.MethodAttempts: {Rank: control.Admin, Do: k.attempts},
		control.MethodHistory:  {Rank: control.Reader, Do: k.history},
		control.MethodWatch:    {Rank: control.Reader, Stream: true, Do: k.watch},
		control.MethodExplain:  {Rank: control.Admin, Stream: true, Do: k.explain},
		control.MethodOpen:     {Rank: control.Admin, Do: k.open},
		control.MethodClose:    {Rank: control.Admin, Do: k.close},
		control.MethodReload:   {Rank: control.Admin, Do: k.reload},
		control.MethodTrial:    {Rank: control.Admin, Do: k.tryOut},
		control.MethodConfirm:  {Rank: control.Admin, Do: k.confirm},
	}
}

func (k *desk) watch(ctx context.Context, c *server.Call) error {
	s, err := c.Selection()
	if err == nil {
		err = k.known(ctx, s.Door)
	}
	if err != nil {
		return err
	}
	return k.hub.Watch(ctx, c, k.rankOf(c.Peer), s)
}

// rewatch has failed attempts shown if an admin watches, and else not.
func (d *Daemon) rewatch() {
	d.engine.SetWatched(d.desk.hub.Watched())
	d.setFilter()
}

// show shows an event that is not logged, unless too many are shown already.
func (k *desk) show(at time.Time, e event.Event) {
	if k != nil && k.paced.allows(at, shownRate) {
		k.hub.Event(at, e)
	}
}

// shownRate is how many events a second are shown that are not logged.
const shownRate = 1000

// pace counts events in a second.
type pace struct {
	second time.Time
	events int
}

// allows counts one more, and reports whether there are not too many.
func (p *pace) allows(at time.Time, rate int) bool {
	if at.Sub(p.second) >= time.Second || at.Before(p.second) {
		*p = pace{second: at}
	}
	p.events++
	return p.events <= rate
}

// shut takes the socket away: nobody else gets in.
func (k *desk) shut() {
	if k != nil && k.listener != nil {
		k.listener.Close()
	}
}

// end ends what goes on, once those who watch have heard of the end.
func (k *desk) end() {
	if k != nil {
		k.hub.End()
		k.server.Close()
	}
}
