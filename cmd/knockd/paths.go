package main

import (
	"os"
	"path/filepath"

	"knockd/internal/config"
)

// absolute makes the paths of the command line absolute: they are those of
// the directory that the program was started in.
func (o *options) absolute() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	o.dir = dir
	o.logFile, o.pidFile = o.path(o.logFile), o.path(o.pidFile)
	return nil
}

// path makes a path absolute; "" stays.
func (o *options) path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.dir, path)
}

// loadConfig reads the configuration from the given path, with the paths in it
// made absolute.
func (o *options) loadConfig(path string) (*config.Config, error) {
	conf, err := config.LoadWith(path, config.Extras{Trace: o.debug, Advice: o.check, MaxAttempts: maxAttempts()})
	if err != nil {
		return nil, err
	}
	conf.Absolute(o.dir)
	return conf, nil
}
