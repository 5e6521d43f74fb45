package livetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/nettest"
)

// attackWith has this program attack a socket in place of testing: "MODE SOCKET".
const attackWith = "KNOCKD_TEST_ATTACK"

// attack attacks, prints what comes of it, and goes on until its input ends.
func attack() {
	mode, socket, ok := strings.Cut(os.Getenv(attackWith), " ")
	if !ok {
		return
	}
	if modes[mode](socket) {
		io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
}

// modes are the ways to attack. They return whether there is more to hold.
var modes = map[string]func(socket string) bool{
	"refused": func(socket string) bool {
		_, err := net.Dial("unix", socket)
		fmt.Println(errors.Is(err, syscall.EACCES))
		return false
	},
	// As many connections as there are to have, each with a call that lasts.
	"many": func(socket string) bool {
		alive := 0
		for range 1000 {
			c, err := net.Dial("unix", socket)
			if err != nil {
				continue
			}
			io.WriteString(c, `{"method":"knockd.control.Watch","more":true}`+"\x00")
			if text, _ := reply(c); strings.Contains(text, `"events":[]`) {
				alive++ // and nobody reads more of it
			}
		}
		fmt.Println(alive)
		return true
	},
	// As many calls as eight connections can make, each of which looks at all.
	"hammer": func(socket string) bool {
		first := make(chan error, 8)
		for range 8 {
			go func() {
				c, err := net.Dial("unix", socket)
				for ; err == nil; _, err = reply(c) {
					_, err = io.WriteString(c, `{"method":"knockd.control.Openings","parameters":{"address":"203.0.113.9"}}`+"\x00")
					select {
					case first <- err:
					default:
					}
				}
			}()
		}
		for range 8 {
			<-first
		}
		fmt.Println("hammering")
		return true
	},
	"oversized": hungUp(func(c net.Conn) { c.Write(bytes.Repeat([]byte("x"), 1<<20)) }),
	"garbage":   hungUp(func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n\x00") }),
	"half":      hungUp(func(c net.Conn) { io.WriteString(c, `{"method":"knockd.control.St`) }),
	"slow": hungUp(func(c net.Conn) {
		for err := error(nil); err == nil; time.Sleep(100 * time.Millisecond) {
			_, err = io.WriteString(c, "x")
		}
	}),
	"silent": hungUp(func(net.Conn) {}),
	// Calls without end, and nobody reads an answer.
	"deaf": func(socket string) bool {
		c, err := net.Dial("unix", socket)
		for err == nil {
			_, err = io.WriteString(c, `{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"knockd.control"}}`+"\x00")
		}
		fmt.Println("hung up")
		return false
	},
	"close": func(socket string) bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			io.WriteString(c, `{"method":"knockd.control.Close","parameters":{"all":true}}`+"\x00")
			text, _ := reply(c)
			fmt.Println(text)
		}
		return false
	},
}

// reply reads one reply.
func reply(c net.Conn) (string, error) {
	var text []byte
	for b := make([]byte, 1); ; text = append(text, b...) {
		if _, err := c.Read(b); err != nil || b[0] == 0 {
			return string(text), err
		}
	}
}

// hungUp sends something and says whether the other side hangs up.
func hungUp(send func(net.Conn)) func(string) bool {
	return func(socket string) bool {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		send(c)
		if text, err := reply(c); err == nil {
			fmt.Println("answered", text)
		} else {
			fmt.Println("hung up")
		}
		return false
	}
}

// attacker is a child that attacks.
type attacker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   syncBuffer
}

// attacking starts a child of a user, who is or is not in the group of readers.
func attacking(t *testing.T, program, mode, socket string, uid uint32, groups ...uint32) *attacker {
	t.Helper()
	a := &attacker{cmd: exec.Command(program)}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}}
	a.cmd.Env, a.cmd.Dir = append(os.Environ(), attackWith+"="+mode+" "+socket), "/"
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.out
	stdin, err := a.cmd.StdinPipe()
	if err == nil {
		a.stdin, err = stdin, a.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		a.cmd.Wait()
	})
	return a
}

// result is the line that an attack prints.
func (a *attacker) result(t *testing.T) string {
	t.Helper()
	nettest.Eventually(t, a.cmd.String()+" says what came of it", func() bool { return strings.HasSuffix(a.out.String(), "\n") })
	return strings.TrimSpace(a.out.String())
}

// TestSocketAttacked: whatever members of the group do to the socket, with
// processes of many users, root closes a door at once, knocks open, and the daemon
// takes little memory. Who is not in the group does not get in.
func TestSocketAttacked(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	knocker, server := nettest.Pair(t)
	dir := place(t, "knockctl")
	child := filepath.Join(dir, "attacker")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, self, child)
	socket, knockctl := filepath.Join(dir, "control"), filepath.Join(dir, "knockctl")
	d := start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	ControlSocket = %s
	ControlGroup = %d
[door]
	sequence = 7001,8001
	start_command = true
	stop_command = true
	cmd_timeout = 3600
`, socket, groupGames))
	before := memoryOf(d.cmd.Process.Pid, "VmRSS")
	if got := attacking(t, child, "refused", socket, userNobody).result(t); got != "true" {
		t.Errorf("who is not in the group gets in: %s", got)
	}
	if got := attacking(t, child, "close", socket, userNobody, groupGames).result(t); got != `{"error":"knockd.control.NotAllowed","parameters":{"method":"knockd.control.Close"}}` {
		t.Errorf("a reader closes: %s", got)
	}
	var hammers []*attacker
	for uid := range uint32(3) {
		hammers = append(hammers, attacking(t, child, "hammer", socket, 1000+uid, groupGames))
		hammers[uid].result(t)
	}
	syn(t, knocker, nettest.Client4, nettest.Server4, "7001", "8001")
	d.waitFor("OPEN SESAME", 1)
	if out, err := exec.Command(knockctl, "close", "door", "--socket", socket).CombinedOutput(); err != nil || string(out) != "closed: 1 opening\n" {
		t.Fatalf("%v: %s", err, out)
	}
	for _, a := range hammers {
		a.stdin.Close()
		a.cmd.Wait()
	}
	held := 0
	for uid := range uint32(4) {
		var n int
		fmt.Sscan(attacking(t, child, "many", socket, 2000+uid, groupGames).result(t), &n)
		if held += n; n > 8 {
			t.Errorf("uid %d has %d connections", 2000+uid, n)
		}
	}
	if held != 28 {
		t.Errorf("others than root have %d connections", held)
	}
	syn(t, knocker, nettest.Client4, nettest.Server4, "7001", "8001")
	d.waitFor("OPEN SESAME", 2)
	if out, err := exec.Command(knockctl, "close", "door", "--socket", socket).CombinedOutput(); err != nil || string(out) != "closed: 1 opening\n" {
		t.Fatalf("%v: %s", err, out)
	}
	// Those who take no events lose them, and then their places.
	c, err := client.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 800 {
		a := control.OpenArgs{Door: "door", Address: fmt.Sprintf("192.0.2.%d", 1+i%200)}
		if _, err := client.Call[control.OpenReply](t.Context(), c, control.MethodOpen, a); err != nil {
			t.Fatal(err)
		}
	}
	if got := memoryOf(d.cmd.Process.Pid, "VmRSS"); got > before+24 {
		t.Errorf("%v MiB of memory, %v before", got, before)
	}
	uid := uint32(3000)
	nettest.Eventually(t, "who takes nothing is hung up on", func() bool {
		uid++
		return attacking(t, child, "many", socket, uid, groupGames).result(t) == "8"
	})
}

// TestSocketPeers: who is slow, silent, deaf, sends too much or something else is
// hung up on.
func TestSocketPeers(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	_, server := nettest.Pair(t)
	dir := place(t)
	child := filepath.Join(dir, "attacker")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, self, child)
	socket := filepath.Join(dir, "control")
	start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	ControlSocket = %s
	ControlGroup = %d
[door]
	sequence = 7002,8002
	start_command = true
`, socket, groupGames))
	attackers := map[string]*attacker{}
	for _, mode := range []string{"oversized", "garbage", "half", "slow", "silent", "deaf"} {
		attackers[mode] = attacking(t, child, mode, socket, userNobody, groupGames)
	}
	for mode, a := range attackers {
		if got := a.result(t); got != "hung up" {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

// TestDefaultSocket: without a word about it a daemon makes its socket, and its log
// does not change; a second one lets the first have it without a word, and takes
// it when the first was killed. Whoever names a socket that lives is told.
func TestDefaultSocket(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	server := nettest.NewHost(t, "server")
	server.Run("ip", "link", "set", "lo", "up")
	knockd, dir := program(t, "knockd"), t.TempDir()
	first := 0 // the daemon whose /run all share
	begin := func(option string) *daemon {
		t.Helper()
		at := filepath.Join(dir, fmt.Sprint(time.Now().UnixNano()))
		nettest.Write(t, at+".conf", "[options]\nInterface = lo\nStateDir = "+at+"\n"+option+"\n[door]\nsequence = 7003\nstart_command = true\n")
		where := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh"}
		if first > 0 {
			where = []string{"nsenter", "-m", "-t", fmt.Sprint(first)}
		}
		args := append(where, knockd, "-c", at+".conf", "-g", at+".log")
		d := prepareCommand(t, server, at+".log", args[0], args[1:]...)
		d.waitFor("starting up", 1)
		return d
	}
	has := func(d *daemon, log string, owner int) {
		t.Helper()
		nettest.Eventually(t, "log and output have as much", func() bool { return len(d.text()+d.output.String()) >= len(log) })
		if got := d.text() + d.output.String(); got != log {
			t.Errorf("log and output:\n%swant\n%s", got, log)
		}
		var pid int
		nettest.Eventually(t, "the socket answers", func() bool {
			c, err := client.Dial(t.Context(), fmt.Sprintf("/proc/%d/root%s", d.cmd.Process.Pid, control.DefaultSocket))
			if err != nil {
				return false
			}
			defer c.Close()
			s, err := client.Call[control.StatusReply](t.Context(), c, control.MethodStatus, nil)
			pid = s.PID
			return err == nil
		})
		if pid != owner {
			t.Errorf("process %d has the socket, want %d", pid, owner)
		}
	}
	usual := "starting up, listening on lo\n"
	one := begin("")
	has(one, usual, one.cmd.Process.Pid)
	first = one.cmd.Process.Pid
	two := begin("")
	has(two, usual, first)
	named := begin("ControlSocket = " + control.DefaultSocket)
	text := fmt.Sprintf("no control socket: %s: another program listens there (pid %d)\n", control.DefaultSocket, first)
	has(named, usual+text+text, first)
	one.stop(syscall.SIGKILL)
	first = two.cmd.Process.Pid
	three := begin("")
	has(three, usual, three.cmd.Process.Pid)
	if three.stop(syscall.SIGTERM); three.text() != usual+"shutting down\n" {
		t.Error(three.text())
	}
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/run/knockd", first)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// TestIdleSocket: a daemon with a socket, at which somebody watches, does nothing
// while nothing happens.
func TestIdleSocket(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "strace")
	_, server := nettest.Pair(t)
	socket := filepath.Join(place(t), "control")
	d := start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	ControlSocket = %s
[door]
	sequence = 7004,8004
	start_command = true
`, socket))
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, `{"method":"knockd.control.Watch","more":true}`+"\x00")
	if text, err := reply(c); err != nil || !strings.Contains(text, `"events":[]`) {
		t.Fatal(text, err)
	}
	settled(d.cmd.Process.Pid, nettest.Patience)
	time.Sleep(3 * time.Second) // a collector that was called comes to rest
	if _, own, names := callsOf(t, server, d.cmd.Process.Pid, 5*time.Second); own > 0 {
		t.Errorf("system calls of an idle daemon: %s", strings.Join(names, " "))
	}
}
