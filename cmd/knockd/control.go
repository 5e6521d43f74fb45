package main

import (
	"cmp"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/daemon"
)

// controlOf returns where a daemon of this configuration answers; nil: nowhere.
func (o *options) controlOf(conf *config.Config) *daemon.Control {
	if conf.ControlSocket == config.NoSocket {
		return nil
	}
	return &daemon.Control{
		Socket: cmp.Or(conf.ControlSocket, control.DefaultSocket), Named: conf.ControlSocket != "",
		Group: cmp.Or(conf.ControlGroup, config.DefaultControlGroup), GroupNamed: conf.ControlGroup != "",
		Version: cli.Version, ConfigFile: o.path(o.config),
	}
}
