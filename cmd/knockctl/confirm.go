package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

const confirmUsage = "knockctl confirm [OPTIONS]"

// confirm has what is on trial stay.
func confirm(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("confirm", pflag.ContinueOnError)
	force := f.Bool("force", false, "although you did not come in through a door")
	socket := socketFlag(f)
	words, err := parse(w, f, confirmUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(confirmUsage, "%q: one word too many", words[0])
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := client.Call[control.TrialReply](ctx, c, control.MethodTrial, struct{}{})
	switch {
	case err != nil:
		return err
	case r.Trial == nil:
		return &control.NoTrial{}
	case r.Trial.Left == 0:
		return over(r.Trial)
	}
	doubt, err := w.doubt(ctx, c, r.Trial)
	switch {
	case err != nil:
		return err
	case doubt != "" && !*force:
		return cli.WithHint(errors.New("not confirmed: "+doubt),
			"come in anew, by a knock, and confirm from there; or, if you know that knocks work: knockctl confirm --force")
	case doubt != "":
		w.speaker().Warn(doubt, "")
	}
	confirmed, err := client.Call[control.ConfirmReply](ctx, c, control.MethodConfirm, struct{}{})
	if err != nil {
		return err
	}
	text := "confirmed: " + r.Trial.Config + " stays"
	if len(confirmed.Closed) > 0 {
		text += "; closed but for those who knock: " + strings.Join(confirmed.Closed, ", ")
	}
	_, err = fmt.Fprintln(w.stdout, text)
	return err
}

// doubt says why whoever confirms has not shown that a door lets them in; "" if
// they have.
func (w *world) doubt(ctx context.Context, c *client.Client, t *control.OnTrial) (string, error) {
	s := w.login()
	switch {
	case !s.ssh:
		return "this is no session of ssh, as that of a console is none: it shows not that a door opens", nil
	case s.began < time.Duration(t.Begun):
		return "this session of ssh is older than the trial", nil
	case !s.from.IsValid():
		return "it is not to be seen where this session of ssh comes from", nil
	}
	for _, text := range t.Rescue {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(s.from) {
			return fmt.Sprintf("%v is an address of rescue, for which nothing is closed", s.from), nil
		}
	}
	// An opening may be over by now, though the session goes on.
	since := w.time().Add(-s.age - time.Minute)
	opened := false
	err := client.Each(ctx, c, control.MethodHistory, control.HistoryArgs{Since: since, Address: s.from}, func(r control.HistoryReply) error {
		opened = opened || len(r.Visits) > 0
		return nil
	})
	if err == nil && !opened {
		err = client.Each(ctx, c, control.MethodOpenings, control.Selection{Address: s.from}, func(r control.OpeningsReply) error {
			opened = opened || len(r.Openings) > 0
			return nil
		})
	}
	if err != nil || opened {
		return "", err
	}
	return fmt.Sprintf("no door was opened for %v, from where you came in", s.from), nil
}

// login is how somebody came in.
type login struct {
	ssh   bool
	began time.Duration // after the machine's start, suspend included
	age   time.Duration
	from  netip.Addr
}

// login looks for the sshd above this process.
func (w *world) login() login {
	proc := w.proc
	if proc == "" {
		proc = "/proc"
	}
	var s login
	up, err := os.ReadFile(filepath.Join(proc, "uptime")) // which counts suspend
	fields := strings.Fields(string(up))
	if err != nil || len(fields) == 0 {
		return s
	}
	seconds, _ := strconv.ParseFloat(fields[0], 64)
	pid := w.pid
	if pid == 0 {
		pid = os.Getpid()
	}
	for range 64 { // no tree of processes is as deep
		name, parent, began, err := statusOf(proc, pid)
		if err != nil || pid <= 1 {
			return s
		}
		if name == "sshd" || name == "sshd-session" {
			s.ssh, s.began = true, began
			s.age = time.Duration(seconds*float64(time.Second)) - began
			return s
		}
		if a, ok := clientOf(proc, pid); ok {
			s.from = a
		}
		pid = parent
	}
	return s
}

// ticks is how many of the kernel's ticks a second has, as programs are told
// (USER_HZ): the same on all machines that Go knows.
const ticks = 100

// statusOf reads proc_pid_stat(5): the name of a process, its parent, and when it
// began after the machine's start.
func statusOf(proc string, pid int) (name string, parent int, began time.Duration, err error) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, 0, err
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open {
		return "", 0, 0, errors.New("not a stat file")
	}
	rest := strings.Fields(string(text[end+1:])) // from the third field on
	if len(rest) < 20 {
		return "", 0, 0, errors.New("a short stat file")
	}
	parent, _ = strconv.Atoi(rest[1])
	n, _ := strconv.ParseInt(rest[19], 10, 64)
	return string(text[open+1 : end]), parent, time.Duration(n) * (time.Second / ticks), nil
}

// clientOf returns where sshd says that a process's session comes from.
func clientOf(proc string, pid int) (netip.Addr, bool) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "environ"))
	if err != nil {
		return netip.Addr{}, false
	}
	for variable := range strings.SplitSeq(string(text), "\x00") {
		value, ok := strings.CutPrefix(variable, "SSH_CONNECTION=")
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(value, " ")
		a, err := netip.ParseAddr(first)
		return a.Unmap().WithZone(""), err == nil
	}
	return netip.Addr{}, false
}
