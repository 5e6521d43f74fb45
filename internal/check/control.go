package check

import (
	"cmp"
	"os"

	"knockd/internal/config"
	"knockd/internal/control/server"
	"knockd/internal/event"
)

// checkControl says what is wrong with the control socket and with those who may
// connect. An error is a fault.
func (s Setup) checkControl(r *Report) error {
	if s.Conf.ControlSocket == config.NoSocket {
		return nil
	}
	own := os.Getegid()
	if s.AsRoot {
		own = 0
	}
	gid, doubt, err := server.Group(cmp.Or(s.Conf.ControlGroup, config.DefaultControlGroup), s.Conf.ControlGroup != "", own)
	if err != nil {
		return err
	}
	if doubt != "" {
		r.warn(doubt)
	}
	_, doubts := server.NewAccess(gid, s.Conf.ControlAdmins)
	r.warn(doubts...)
	if s.Conf.ControlSocket == "" {
		return nil
	}
	switch err := (server.Socket{Path: s.Conf.ControlSocket}).Check(); {
	case err == nil:
	case s.hidden(err):
		r.add(Finding{Unseen, err.Error()})
	default:
		r.warn(event.SocketFailed{Err: err}.Text())
	}
	return nil
}
