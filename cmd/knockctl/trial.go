package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/check"
	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/trial"
)

const trialUsage = "knockctl trial [OPTIONS] TIME"

// mostTrial is how long a trial lasts at most.
const mostTrial = 24 * time.Hour

// answerLimit is how long a knockd that was started may take until it answers.
const answerLimit = 30 * time.Second

// tryOut puts a configuration on trial, and starts knockd with it if it does not
// run.
func tryOut(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("trial", pflag.ContinueOnError)
	file := f.StringP("config", "c", defaultConfig, "the configuration, a `FILE`")
	socket := socketFlag(f)
	words, err := parse(w, f, trialUsage, args)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return cli.Usagef(trialUsage, "for how long? as 5m")
	}
	length, err := parseTrial(words[0])
	if err != nil {
		return cli.Usage(err, trialUsage)
	}
	path, err := filepath.Abs(*file)
	if err != nil {
		return err
	}
	conf, err := config.Load(path)
	if err != nil {
		return err
	}
	if conf.ControlSocket == config.NoSocket {
		return cli.WithHint(fmt.Errorf("%s: ControlSocket = none: nothing could be confirmed", *file), "take the line out")
	}
	if *socket == "" {
		*socket = cmp.Or(conf.ControlSocket, control.DefaultSocket)
	}
	w.sayBefore(conf)
	c, err := client.Dial(ctx, *socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return w.startOnTrial(ctx, conf, path, *socket, length)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return w.tryOn(ctx, c, path, *socket, length)
}

// tryOn puts on trial what a running knockd reads.
func (w *world) tryOn(ctx context.Context, c *client.Client, path, socket string, length time.Duration) error {
	s, err := client.Call[control.StatusReply](ctx, c, control.MethodStatus, struct{}{})
	if err == nil && path != "" && s.Config != "" && s.Config != path {
		err = fmt.Errorf("the knockd that answers goes by %s, not by %s", s.Config, path)
	}
	if err != nil {
		return err
	}
	seconds := control.Seconds(length)
	r, err := client.Call[control.TrialReply](ctx, c, control.MethodTrial, control.TrialArgs{Seconds: &seconds})
	if refused := (*control.ReloadRefused)(nil); errors.As(err, &refused) {
		return fmt.Errorf("%w\nconfiguration not changed", refused)
	}
	if err != nil {
		return err
	}
	return w.countdown(ctx, c, socket, r.Trial)
}

// parseTrial reads how long a trial is to last.
func parseTrial(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < control.LeastTrial || d > mostTrial {
		return 0, fmt.Errorf("%q: must be a time from %v to %v, as 5m", text, control.LeastTrial, mostTrial)
	}
	return d, nil
}

// closes are the ports that a configuration's guard closes; nil: none.
func closes(conf *config.Config) (ports []knock.PortRange) {
	if conf.NftMode != config.NftGuard {
		return nil
	}
	for _, d := range firewall.Doors(conf) {
		ports = append(ports, d.Ports...)
	}
	return knock.JoinPorts(ports)
}

// sayBefore says what a trial does, and what it cannot, before it begins.
func (w *world) sayBefore(conf *config.Config) {
	ports := closes(conf)
	if len(ports) == 0 {
		w.say("this configuration closes nothing itself: the trial takes back the configuration alone, not the host's own rules", "")
		return
	}
	var udp []knock.PortRange
	for _, r := range ports {
		if r.Proto == knock.UDP {
			udp = append(udp, r)
		}
	}
	if len(udp) > 0 {
		w.say(knock.PortNames(udp, ", ")+": flows of udp that are older than the guard are cut off, for they look like new ones; sessions of tcp go on", "")
	}
	if len(conf.Rescue) == 0 {
		w.say("no second way in: rescue is not set; keep this session open until you came in anew", "")
		return
	}
	var names []string
	for _, p := range conf.Rescue {
		names = append(names, p.String())
	}
	w.say("a second way in: "+strings.Join(names, ", ")+" (rescue)", "")
}

// startOnTrial notes that a configuration is on trial and starts knockd with it.
func (w *world) startOnTrial(ctx context.Context, conf *config.Config, path, socket string, length time.Duration) error {
	if os.Geteuid() != 0 {
		return cli.WithHint(errors.New("knockd does not run, and you may not start it"), "run it as root")
	}
	dir, name, err := check.StateName(conf.StateDir, path, nil)
	if err != nil {
		return err
	}
	store := trial.NewStore(dir, name)
	state := trial.New(conf.Files.Fingerprint, length)
	switch was, err := store.Read(); {
	case err != nil:
		return err
	case was != nil && was.Left() > 0:
		return &control.TrialRuns{Left: control.Seconds(was.Left())}
	}
	if state.Keep, err = nft.Lasting(firewall.Options(conf, nil)); err != nil {
		return err
	}
	if closed := closedAlready(closes(conf), state.Keep); len(closed) > 0 {
		w.speaker().Warn(event.Are(closed)+" closed already by what an earlier run has left, and stay so when the trial ends", "knockd --cleanup opens them before")
	}
	if err := store.Write(state); err != nil {
		return err
	}
	c, shown, err := w.started(ctx, path, socket)
	if err != nil {
		return errors.Join(err, w.takeBack(ctx, path, store, state))
	}
	defer c.Close()
	return w.countdown(ctx, c, socket, shown)
}

// takeBack ends what was started and does not say that it tries anything out: it
// may have closed ports for good. What was closed before is not opened.
func (w *world) takeBack(ctx context.Context, path string, store *trial.Store, state *trial.State) error {
	if len(state.Keep) > 0 {
		return errors.New("the trial may go on all the same: knockd --cleanup --force ends it, and opens all ports")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, daemonProgram(), "--cleanup", "--force", "-c", path)
	cmd.Stderr = w.stderr
	if err := cmd.Run(); err != nil { // what is noted ends the trial in time
		return fmt.Errorf("take back what was started: %w", err)
	}
	return store.Remove()
}

// stopLimit is above the time that knockd --cleanup --force gives a daemon.
const stopLimit = 100 * time.Second

// daemonProgram is the knockd beside this program, or the one in PATH.
func daemonProgram() string {
	if own, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(own), "knockd"); exists(beside) {
			return beside
		}
	}
	return "knockd"
}

// closedAlready returns those of some ports that are among others.
func closedAlready(ports, others []knock.PortRange) (both []knock.PortRange) {
	for _, a := range ports {
		for _, b := range others {
			r := knock.PortRange{Proto: a.Proto, First: max(a.First, b.First), Last: min(a.Last, b.Last)}
			if a.Proto == b.Proto && r.First <= r.Last {
				both = append(both, r)
			}
		}
	}
	return both
}

// started starts knockd, and returns when it answers that it tries out what it
// should.
func (w *world) started(ctx context.Context, path, socket string) (*client.Client, *control.OnTrial, error) {
	if err := w.startDaemon(ctx, path); err != nil {
		return nil, nil, fmt.Errorf("start knockd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		c, err := client.Dial(ctx, socket)
		if err == nil {
			r, err := client.Call[control.TrialReply](ctx, c, control.MethodTrial, struct{}{})
			if err == nil && r.Trial != nil && r.Trial.Left > 0 {
				return c, r.Trial, nil
			}
			c.Close()
			if err == nil {
				err = errors.New("the knockd that answers tries nothing out")
			}
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, cli.WithHint(fmt.Errorf("knockd does not answer: %w", err), "its log says why")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startDaemon starts the service, where the configuration is its own, or else a
// daemon.
func (w *world) startDaemon(ctx context.Context, path string) error {
	if path == defaultConfig && hasService() {
		_, err := w.run(ctx, nil, "systemctl", "start", "knockd")
		return err
	}
	cmd := exec.CommandContext(ctx, daemonProgram(), "-d", "-c", path)
	cmd.Stderr = w.stderr
	return cmd.Run()
}

// hasService reports whether systemd runs this host and knows knockd.
func hasService() bool {
	return exists("/run/systemd/system") && exec.Command("systemctl", "cat", "knockd.service").Run() == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// countdown shows how much of the trial is left until it is confirmed or over. A
// knockd that goes away ends nothing: the kernel opens the ports in time.
func (w *world) countdown(ctx context.Context, c *client.Client, socket string, t *control.OnTrial) error {
	if t == nil {
		return errors.New("the trial ended before it could be looked at")
	}
	what := t.Config + " is on trial"
	if len(t.Ports) > 0 {
		what += ", and closes " + strings.Join(t.Ports, ", ")
	}
	fmt.Fprintf(w.stdout, "%s; come in anew, then: knockctl confirm\n", what)
	end := w.time().Add(time.Duration(t.Left))
	line := func(text string) {
		if w.look().columns > 0 {
			fmt.Fprint(w.stdout, "\r"+text+"\x1b[K")
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		left := end.Sub(w.time())
		line(cli.Duration(left.Round(time.Second)) + " left")
		select {
		case <-ctx.Done():
			line("")
			fmt.Fprintf(w.stdout, "the trial runs on for %s: knockctl confirm keeps it\n", cli.Duration(left.Round(time.Second)))
			return nil
		case <-tick.C:
		}
		r, err := client.Call[control.TrialReply](ctx, c, control.MethodTrial, struct{}{})
		switch {
		case ctx.Err() != nil: // said above
		case err != nil && left > 0:
			c.Close()
			if again, err := w.connect(ctx, socket); err == nil {
				c = again
			}
		case err != nil:
			line("")
			return fmt.Errorf("knockd does not answer: %w; the time of the trial is over, and the kernel has opened what it closed", err)
		case r.Trial == nil:
			line("")
			fmt.Fprintln(w.stdout, "confirmed")
			return nil
		case r.Trial.Left == 0:
			line("")
			return over(r.Trial)
		default:
			end = w.time().Add(time.Duration(r.Trial.Left))
		}
	}
}

// over says that a trial is, and what that means.
func over(t *control.OnTrial) error {
	text := "the trial is over and was not confirmed"
	if len(t.Open) > 0 {
		text += ": not guarded: " + strings.Join(t.Open, ", ")
	}
	if t.Returns {
		text += "; what was in use before is in use again"
	}
	return errors.New(text)
}
