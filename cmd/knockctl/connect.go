package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

// socketFlag adds --socket, of each command that asks a running knockd.
func socketFlag(f *pflag.FlagSet) *string {
	return f.String("socket", "", "the control socket of knockd, a `FILE`; if it is not given, ControlSocket of "+defaultConfig+", or "+control.DefaultSocket)
}

// defaultConfig is the configuration that a knockd reads which is told no other.
const defaultConfig = "/etc/knockd.conf"

// errNoSocket says that a knockd is told to do without a socket.
var errNoSocket = errors.New("ControlSocket = none: this knockd answers nobody")

// connect connects to a running knockd: to the socket that is named, or the one
// that the host's configuration names, if it can be read.
func (w *world) connect(ctx context.Context, socket string) (*client.Client, error) {
	if socket == "" {
		named, _ := config.ControlSocket(cmp.Or(w.config, defaultConfig))
		if named == config.NoSocket {
			return nil, fmt.Errorf("%s: %w", cmp.Or(w.config, defaultConfig), errNoSocket)
		}
		socket = cmp.Or(named, control.DefaultSocket)
	}
	c, err := client.Dial(ctx, socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return nil, cli.WithHint(err, w.nobody())
	case errors.Is(err, fs.ErrPermission):
		return nil, cli.WithHint(err, mayConnect(socket))
	}
	return c, err
}

// nobody says what it means that nobody answers.
func (w *world) nobody() string {
	find := w.running
	if find == nil {
		find = running
	}
	var pids []string
	for _, pid := range find() {
		pids = append(pids, strconv.Itoa(pid))
	}
	if pids == nil {
		return "no knockd runs: start it, with systemctl start knockd"
	}
	return fmt.Sprintf("knockd runs (pid %s), but not with this socket: see its ControlSocket and its log, or name another one with --socket", strings.Join(pids, ", "))
}

// running returns the processes that are a knockd, as far as they are to be seen.
func running() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range files {
		name, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && strings.TrimSpace(string(name)) == "knockd" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mayConnect says who may connect to a socket.
func mayConnect(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return "for root and the members of ControlGroup alone"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o060 == 0 {
		return "for root alone: knockd lets the members of ControlGroup in, if there is that group when it starts"
	}
	group := strconv.FormatUint(uint64(stat.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("for root and the members of the group %s alone: usermod -aG %[1]s USER, and log in again", group)
}
