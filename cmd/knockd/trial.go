package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"knockd/internal/check"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/trial"
)

// trials is where it is noted what is on trial; nil: nowhere.
func (o *options) trials(named string) *trial.Store {
	dir, name, err := check.StateName(named, o.path(o.config), nil)
	if err != nil {
		return nil
	}
	return trial.NewStore(dir, name)
}

// inUse returns the configuration that a start goes by, in place of one that is
// on trial: that one, with the trial, or the one that was in use before. What it
// means is said.
func (o *options) inUse(conf *config.Config, stderr io.Writer) (*config.Config, *trial.State) {
	store := o.trials(conf.StateDir)
	if store == nil || conf.Files == nil {
		return conf, nil
	}
	state, err := store.Read()
	switch {
	case errors.Is(err, fs.ErrPermission): // nor could knockd ever have noted one
		return conf, nil
	case err != nil:
		// Somebody noted one: what it says is unknown, and nobody is locked out.
		o.warn(stderr, fmt.Sprintf("%v: the guard closes nothing", err))
		return conf, trial.Unknown(conf.Files.Fingerprint)
	case state == nil || state.Fingerprint != conf.Files.Fingerprint:
		return conf, nil
	case state.Kept == "":
		return conf, state
	}
	kept, err := o.loadConfig(store.KeptPath())
	if err == nil && kept.Files.Fingerprint != state.Kept {
		err = fmt.Errorf("%s has changed", store.KeptPath())
	}
	if err != nil {
		o.warn(stderr, fmt.Sprintf("what was in use before the trial cannot be read: %v: the guard closes nothing more", err))
		state.Kept, state.End = "", state.Begin
		return conf, state
	}
	kept.Trace, state.End = nil, state.Begin // whatever is left of it
	o.warn(stderr, event.TrialOver{File: o.config, Kept: store.KeptPath()}.Text())
	return kept, state
}
