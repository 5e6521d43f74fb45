package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"knockd/internal/action/command"
	"knockd/internal/capture"
	"knockd/internal/check"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/history"
	"knockd/internal/hostnames"
	"knockd/internal/nft"
	"knockd/internal/openings"
	"knockd/internal/replaycache"
	"knockd/internal/trial"
)

// Options is what the command line adds to a configuration, and what the
// daemon calls at its edge.
type Options struct {
	ConfigFile string // absolute, for messages
	Interfaces []string
	OnlyIPv4   bool
	Lookup     bool // host names in the log
	Log        *eventlog.Log
	// Actions are the ways to open and close doors. Those that work on a table of
	// nf_tables take it from Firewall or, what leads elsewhere, from NAT: the
	// daemon puts it there while a door needs it.
	Actions       map[string]openings.Action
	Firewall, NAT *atomic.Pointer[nft.Firewall]
	Journal       openings.Journal // nil: openings are not remembered over a crash
	// OnceFile is where the messages that were used are kept; "" if there is
	// no place for it.
	OnceFile string
	Verbose  bool // say on standard output, beside the log, what goes on
	Debug    bool // and every packet that could be a knock
	Limits   Limits

	// Control says where to answer questions; nil: nowhere.
	Control *Control

	// Load reads and checks the configuration again, LoadFrom what is kept of
	// another.
	Load     func() (*config.Config, error)
	LoadFrom func(path string) (*config.Config, error)
	// Trials is where it is noted what is on trial; nil: nothing can be.
	Trials *trial.Store
	// Trial is the one that was noted before and not confirmed; nil: none. If
	// another configuration comes back after it, that one is the one in use.
	Trial *trial.State
	// ReopenLog closes and opens the log file again, for a configuration that
	// may be new; nil means the old one goes on. It may take its time.
	ReopenLog func(*config.Config)
	// Ready is called once the daemon listens.
	Ready func()
	// Trim is called beside the loop when a configuration was read and is in
	// use, or is not: what reading took is not needed any more. It may be nil.
	Trim func()
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Status is told what the daemon does, in a few words, when it changes.
	Status func(text string)

	// For tests; nil: capture.Follow and limitCapabilities.
	follow func(*capture.FilterSpec) (source, error)
	limit  func(keep uint64) error
}

// Limits are what there is memory for; what is 0 has its usual limit.
type Limits struct {
	Openings int // held at once
	Ring     int // octets of packets that wait to be read
}

// source is where packets come from.
type source interface {
	capture.Source
	SetFilter(*capture.FilterSpec) error
	Now() capture.Listening
	Changes() <-chan capture.Listening
	WasActive() bool
	HasDrops() bool
	Drops() (uint64, error)
}

// Daemon is knockd while it runs. New makes it; then each field belongs to the
// goroutine of Run, the loop, unless it is said otherwise. What goes on outside of
// the loop hands its outcome over with post.
type Daemon struct {
	Options   // nobody changes them
	conf      *config.Config
	engine    *engine.Engine
	manager   *openings.Manager // for any goroutine
	history   *history.History  // for any goroutine
	source    source            // the feed's goroutine calls Next, the loop all else
	listening capture.Listening
	drops     event.Tally        // packets that the kernel has dropped
	used      *replaycache.Store // for any goroutine; nil without doors that have keys
	capturing atomic.Bool        // something is listened on: the loop's, others read it

	desk       *desk                // for any goroutine once it is there; nil without a socket
	asking     []*asking            // what packets were
	since      map[string]time.Time // of what is listened on
	lastReload *control.LastReload  // nil: none was asked for yet

	trial        onTrial
	limited      bool // capabilities have been given up
	closingGuard bool // in the background
	oneTime      oneTimeUse
	reloading    bool
	asked        []chan<- reloadOutcome // who waits for the reload that goes on
	askedNext    []chan<- reloadOutcome // and for the one behind it
	again        bool                   // one more reload was asked for meanwhile

	calls      chan func()    // from any goroutine, to be run by the loop
	ended      chan struct{}  // closed by the loop when it takes no more calls
	admitting  chan struct{}  // as many as requests are being admitted
	background sync.WaitGroup // what waits for the disk or the kernel, outside of the loop
}

// oneTimeUse counts one-time lines that are being marked.
type oneTimeUse struct {
	begun, running int
	awaited        bool // a reload goes on when none is running
}

// New readies the firewall and opens the capture. Its error is about one-time
// sequences, the firewall or the capture.
func New(conf *config.Config, o Options) (*Daemon, error) {
	doors, doubts, err := engine.Prepare(conf)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Options: o, conf: conf, calls: make(chan func()), ended: make(chan struct{}),
		admitting: make(chan struct{}, maxAdmitting)}
	d.trial.state = o.Trial
	d.fillIn()
	if d.Control != nil {
		if _, _, err := d.Control.group(); err != nil {
			return nil, err
		}
	}
	if err := d.openOnce(doors); err != nil {
		return nil, err
	}
	d.waitForOnce()
	settings := engine.Options{OnlyIPv4: o.OnlyIPv4, Verbose: o.Verbose || o.Debug, Effects: effects{d}}
	if o.Lookup {
		settings.Names = hostnames.New(d.post)
	}
	d.engine = engine.New(conf, doors, d.once(), settings)
	d.explainIf()
	if err := d.listen(); err != nil {
		return nil, err
	}
	if err := d.ensure(conf, o.Trial); err != nil {
		d.source.Close()
		return nil, err
	}
	running, limited := command.Workers(openings.MaxRunning)
	if limited != nil {
		doubts = append(doubts, limited)
	}
	d.remember()
	d.manager = openings.New(openings.Options{
		Log: o.Log, Actions: o.Actions, Journal: o.Journal, Keep: conf.KeepOnStop, Workers: running,
		Held: o.Limits.Openings,
	})
	d.logAll(append(doubts, check.Doubts(conf, o.Actions)...))
	return d, nil
}

func (d *Daemon) trim() {
	if d.Trim != nil {
		go d.Trim()
	}
}

// fillIn sets what tests set otherwise.
func (d *Daemon) fillIn() {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.limit == nil {
		d.limit = limitCapabilities
	}
	if d.follow == nil {
		d.follow = func(w *capture.FilterSpec) (source, error) {
			return capture.Follow(d.Interfaces, w, d.Log.Event)
		}
	}
}

func (d *Daemon) logAll(events []event.Event) {
	for _, e := range events {
		d.Log.Event(e)
	}
}

// Run decides on packets until ctx ends, then closes every door. Each value
// of reload has the configuration read again. An error is that of a capture
// that ended.
func (d *Daemon) Run(ctx context.Context, reload <-chan os.Signal) error {
	d.sayListening()
	d.sayTrial()
	d.manager.Adopt()
	d.openDesk()
	d.dropCapabilities()
	d.Ready()
	d.trim()
	err := d.loop(ctx, reload)
	d.sayRest()
	if err == nil {
		err = d.neverListened()
	}
	d.desk.shut()
	d.Status("closing all doors")
	d.verbosely(event.Stopping{})
	d.shutDown(ctx)
	d.verbosely(event.Ending{})
	d.Log.Event(event.Stopped{})
	d.desk.end()
	return err
}

// diskLimit is how long the end waits for what goes on outside of the loop: a
// disk that does not answer must not keep doors open.
const diskLimit = 5 * time.Second

var errSilent = errors.New("the disk does not answer: not waited for any longer")

// waitBackground waits for what goes on outside of the loop, and reports whether
// all has ended.
func (d *Daemon) waitBackground() bool {
	done := make(chan struct{})
	go func() {
		d.background.Wait()
		close(done)
	}()
	limit := time.NewTimer(diskLimit)
	defer limit.Stop()
	select {
	case <-done:
		return true
	case <-limit.C:
		return false
	}
}

// shutDown closes every door and lets go of the firewall.
func (d *Daemon) shutDown(ctx context.Context) {
	idle := d.waitBackground()
	if !idle {
		d.Log.Event(event.Fault{Err: errSilent})
	}
	if left := d.manager.Shutdown(context.WithoutCancel(ctx)); left > 0 {
		d.Log.Event(event.LeftOpen{Openings: left, Journal: d.Journal != nil})
	}
	d.leaveFirewall()
	if d.used != nil && idle { // else somebody may hold it
		d.background.Go(func() { d.used.Close() })
		d.waitBackground()
	}
	d.history.Close()
}

// loop is the one goroutine that owns the engine.
func (d *Daemon) loop(ctx context.Context, reload <-chan os.Signal) error {
	feed := startFeed(d.source)
	defer feed.stop()
	defer close(d.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.setTimer(timer)
		select {
		case <-ctx.Done():
			return nil
		case batch := <-feed.batches:
			d.catchUp()
			d.batch(batch)
			feed.done()
			d.sayDrops()
		case now := <-d.source.Changes():
			d.changed(now)
		case <-timer.C:
			d.engine.Expire(d.Now())
			d.sayDrops()
			d.endTrial()
		case call := <-d.calls:
			call()
		case <-reload:
			d.reload()
		case err := <-feed.failed:
			return fmt.Errorf("capture: %w", err)
		}
	}
}

// catchUp takes in what came before packets: a change of the network, since they
// may be for an address that is new, and all calls that wait, which in a flood
// would get but every other turn.
func (d *Daemon) catchUp() {
	select {
	case now := <-d.source.Changes():
		d.changed(now)
	default:
	}
	for {
		select {
		case call := <-d.calls:
			call()
		default:
			return
		}
	}
}

// post has the loop run a function, unless the daemon ends.
func (d *Daemon) post(call func()) {
	select {
	case d.calls <- call:
	case <-d.ended:
	}
}

// setTimer has the loop woken when there is something to do.
func (d *Daemon) setTimer(timer *time.Timer) {
	at, ok := d.engine.Next()
	if due, more := d.drops.Due(); more && (!ok || due.Before(at)) {
		at, ok = due, true
	}
	if due, more := d.trial.due(d.Now); more && (!ok || due.Before(at)) {
		at, ok = due, true
	}
	if ok {
		timer.Reset(time.Until(at))
	} else {
		timer.Stop()
	}
}

// batch decides on packets that arrived together. The clock is read here: it
// never goes back, as the capture's time stamps may.
func (d *Daemon) batch(batch []capture.Captured) {
	now := d.Now()
	messages := 0
	for i := range batch {
		if d.engine.MayHoldMessage(&batch[i].Hit, batch[i].Payload) {
			messages++
		}
	}
	d.engine.Begin(messages, len(batch) >= capture.MaxBatch)
	for i := range batch {
		p := &batch[i]
		if d.Debug {
			d.Log.Event(event.Packet{At: now, Hit: p.Hit})
		}
		d.engine.Packet(&p.Hit, p.Payload, now)
	}
	d.engine.End(now)
}

// verbosely tells those who watch.
func (d *Daemon) verbosely(e event.Event) {
	if d.Verbose {
		d.Log.Event(e)
	}
}
