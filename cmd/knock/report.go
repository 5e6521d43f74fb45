package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"knockd/internal/client/plan"
	"knockd/internal/knock"
)

// report tells the user what happens: in lines, or with --json in one object
// at the end.
type report struct {
	sys     system
	out     io.Writer // where the lines go
	verbose bool
	dryRun  bool
	json    bool
	explain *explanation // nil without --explain
	mu      sync.Mutex   // over the lines: packets are told of beside what goes on
	summary summary
}

// summary is what --json prints.
type summary struct {
	Host      string       `json:"host"`
	Addresses []netip.Addr `json:"addresses"`
	Hits      int          `json:"hits"`               // packets sent
	Sequence  []string     `json:"sequence,omitempty"` // each of them, with --verbose
	DryRun    bool         `json:"dry_run,omitempty"`
	Wait      string       `json:"wait,omitempty"`
	Open      *bool        `json:"open,omitempty"` // with a wait
	Seconds   float64      `json:"seconds,omitempty"`
	Repeats   int          `json:"repeats"`
	Status    int          `json:"status"`
	Error     string       `json:"error,omitempty"`
	Hint      string       `json:"hint,omitempty"`
	Warnings  []string     `json:"warnings,omitempty"`
	Packets   []packet     `json:"packets,omitempty"` // with --explain
	Verdict   []string     `json:"verdict,omitempty"` // the same
}

func newReport(o *options, sys system, out io.Writer) *report {
	r := &report{sys: sys, out: out, verbose: o.verbose, dryRun: o.dryRun, json: o.json,
		summary: summary{DryRun: o.dryRun, Addresses: []netip.Addr{}}}
	if o.explain {
		r.explain = &explanation{report: r}
	}
	return r
}

// begin takes note of where the knocks go.
func (r *report) begin(p *plan.Plan, hosts []netip.Addr) {
	r.summary.Host, r.summary.Addresses = p.Host, hosts
	if p.Wait != 0 {
		r.summary.Wait = fmt.Sprintf("tcp/%d", p.Wait)
	}
}

// say prints a line, unless all is said at the end.
func (r *report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.json {
		fmt.Fprintf(r.out, format+"\n", args...)
	}
}

// Hit tells of one packet, in the words of knock 0.8.
func (r *report) Hit(host netip.Addr, step knock.Step) {
	if !r.dryRun {
		r.summary.Hits++
	}
	switch {
	case r.dryRun:
		r.say("would hit %s %s:%d", step.Proto, host, step.Port)
	case r.verbose:
		r.say("hitting %s %s:%d", step.Proto, host, step.Port)
	}
	if r.dryRun || r.verbose {
		r.summary.Sequence = append(r.summary.Sequence, step.String())
	}
}

// Packet tells of an authorization that is sent.
func (r *report) Packet(proto string, to netip.AddrPort) {
	r.summary.Hits++
	if r.verbose {
		r.say("sending an authorization to %s %s", proto, to)
		r.summary.Sequence = append(r.summary.Sequence, fmt.Sprintf("%d:%s", to.Port(), proto))
	}
}

// Retry tells that the door is asked for again.
func (r *report) Retry(repeat int) {
	r.summary.Repeats = repeat
	if r.verbose {
		r.say("still shut: knocking again (%d)", repeat)
	}
}

// opened tells that the door is open, and how long it took.
func (r *report) opened(at net.Addr, took time.Duration) {
	r.summary.Seconds = took.Seconds()
	if r.verbose {
		r.say("tcp %s open after %.3f s", at, took.Seconds())
	}
}

// Warn tells of something that is not in the way.
func (r *report) Warn(text, hint string) {
	r.summary.Warnings = append(r.summary.Warnings, text)
	if !r.json {
		r.sys.speaker().Warn(text, hint)
	}
}

// finish reports how it ended and returns the exit status.
func (r *report) finish(err error) int {
	if !r.json {
		return r.sys.exit(err)
	}
	o := &r.summary
	if err != nil {
		o.Error, o.Hint, o.Status = explain(err)
	}
	if o.Wait != "" && !r.dryRun {
		open := err == nil
		o.Open = &open
	}
	json.NewEncoder(r.out).Encode(o)
	return o.Status
}

// progress shows on a terminal that and for what the command waits, until the
// function that it returns is called.
func (r *report) progress(p *plan.Plan, hosts []netip.Addr) (stop func()) {
	file, ok := r.sys.stderr.(*os.File)
	if !ok || r.json || r.verbose || r.explain != nil || !term.IsTerminal(int(file.Fd())) {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { showProgress(file, fmt.Sprintf("waiting for tcp/%d at %s", p.Wait, hosts[0]), done) })
	return func() {
		close(done)
		wg.Wait()
	}
}

// showProgress counts the seconds, and wipes its line at the end.
func showProgress(w io.Writer, text string, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "\rknock: %s: %d s", text, n)
		select {
		case <-tick.C:
		case <-done:
			fmt.Fprint(w, "\r\033[K")
			return
		}
	}
}
