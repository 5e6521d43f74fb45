package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"knockd/internal/nettest"
	"knockd/internal/ruleset"
)

// in is a ruleset.Runner whose programs run in a host.
func in(h *nettest.Host) ruleset.Runner {
	return func(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		var out, complaint bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &complaint
		if err := h.Start(cmd); err != nil {
			return "", err
		}
		if err := cmd.Wait(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", name, err, complaint.String())
		}
		if complaint.Len() > 0 && !strings.HasPrefix(complaint.String(), "# Warning: iptables-legacy tables present") {
			return "", errors.New(complaint.String())
		}
		return out.String(), nil
	}
}

const twoDoors = oneDoor + "[other]\nsequence=1000,4000,3000,2000\nopen=tcp/2222\ncmd_timeout=30\n"

func TestApplyAndRemove(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft", "iptables", "ip6tables")
	one, two := writeConf(t, oneDoor), writeConf(t, twoDoors)
	for _, c := range []struct {
		args, list, other, foreign string
	}{
		{"nftables", "nft list ruleset", "k_other_open_4", "add table ip mine"},
		{"iptables", "iptables-save", "OTHER-STEP", ""},
		{"iptables --ipv6", "ip6tables-save", "OTHER-STEP", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			h := nettest.NewHost(t, "box")
			h.Run("nft", "add table ip mine")
			h.Run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
			h.Run("ip6tables", "-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
			list := func() string {
				f := strings.Fields(c.list)
				return h.Run(f[0], f[1:]...)
			}
			ctl := func(args ...string) {
				t.Helper()
				all := append([]string{"export"}, strings.Fields(c.args)...)
				if got := call(t, in(h), append(all, args...)...); got.code != 0 || got.stdout != "" {
					t.Fatalf("knockctl %v: %+v", args, got)
				}
			}
			before := comparable(list())
			ctl("--apply", "-c", two)
			if !strings.Contains(list(), c.other) {
				t.Fatalf("not loaded:\n%s", list())
			}
			ctl("--apply", "-c", two)
			ctl("--apply", "-c", one)
			text := list()
			if strings.Contains(text, c.other) || strings.Count(text, "-A INPUT -j TRAFFIC") > 1 {
				t.Errorf("after a load of fewer doors:\n%s", text)
			}
			ctl("--apply", "--hook", "prerouting", "-c", one)
			ctl("--remove")
			if after := comparable(list()); after != before {
				t.Errorf("not as before:\n%s\nbefore:\n%s", after, before)
			}
			ctl("--remove")
		})
	}
}

// comparable leaves out of a listing what counts or comes into being by looking.
func comparable(text string) string {
	var keep []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "-A") || strings.HasPrefix(line, "table") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

// TestForeignJumps: whatever leads to our chains goes with them and is named,
// chains and rules of others stay, and our own jump is there once.
func TestForeignJumps(t *testing.T) {
	nettest.NeedRoot(t)
	conf, more := writeConf(t, oneDoor), writeConf(t, twoDoors)
	for program, args := range map[string][]string{"iptables": {"export", "iptables"}, "ip6tables": {"export", "iptables", "--ipv6"}} {
		t.Run(program, func(t *testing.T) {
			nettest.NeedProgram(t, program)
			h := nettest.NewHost(t, "box")
			ctl := func(more ...string) string {
				t.Helper()
				got := call(t, in(h), append(append([]string{}, args...), more...)...)
				if got.code != 0 {
					t.Fatalf("knockctl %v: %+v", more, got)
				}
				return strings.Replace(got.stderr, "knockctl: this covers IPv4 alone; run it with --ipv6 too, or the ports stay open over IPv6\n", "", 1)
			}
			save := func() string { return h.Run(program+"-save", "-t", "filter") }
			ipt := func(rule string) { h.Run(program, strings.Fields(rule)...) }
			ipt("-N MINE")
			ipt("-N LOGDROP")
			ipt("-A LOGDROP -j DROP")
			h.Run(program, "-A", "INPUT", "-m", "comment", "--comment", "see \"-j TRAFFIC\" -g TRAFFIC", "-j", "LOGDROP")
			before := comparable(save())

			ctl("--apply", "-c", more)
			file := t.TempDir() + "/rules"
			text := call(t, noProgram, append(append([]string{}, args...), "-c", more)...).stdout
			nettest.Write(t, file, text)
			h.Run(program+"-restore", "--noflush", file)
			if n := strings.Count(save(), "-A INPUT -j TRAFFIC\n"); n != 2 {
				t.Fatalf("loaded by hand a second time: %d jumps", n)
			}
			ipt("-A MINE -p tcp -j OTHER-START")
			ipt("-A TRAFFIC-END -j LOGDROP")
			if got, want := ctl("--apply", "-c", conf), "knockctl: taken out, since it led to a chain that is gone: iptables -t filter -A MINE -p tcp -j OTHER-START\n"; got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
			if n := strings.Count(save(), "-A INPUT -j TRAFFIC\n"); n != 1 {
				t.Errorf("applied: %d jumps\n%s", n, save())
			}
			h.Run(program+"-restore", "--noflush", file)
			ipt("-A TRAFFIC-END -j LOGDROP")
			ipt("-A MINE -p tcp -j TRAFFIC")
			ipt("-A INPUT -p udp -g TRAFFIC-KNOCK")
			got := ctl("--remove")
			for _, rule := range []string{"-A MINE -p tcp -j TRAFFIC", "-A INPUT -p udp -g TRAFFIC-KNOCK"} {
				if line := "knockctl: taken out, since it led to a chain that is gone: iptables -t filter " + rule + "\n"; !strings.Contains(got, line) {
					t.Errorf("%q does not say %q", got, line)
				}
			}
			if strings.Count(got, "\n") != 2 {
				t.Errorf("said: %s", got)
			}
			if after := comparable(save()); after != before {
				t.Errorf("after:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestApplyLeavesOthersAlone(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft", "iptables")
	conf := writeConf(t, oneDoor)
	h := nettest.NewHost(t, "box")
	h.Run("nft", "add table inet knock")
	h.Run("iptables", "-N", "TRAFFIC")
	for args, want := range map[string]string{
		"export nftables --apply":  "knockctl: the table inet knock is not knockctl's: left as it is\n",
		"export nftables --remove": "knockctl: the table inet knock is not knockctl's: left as it is\n",
		"export iptables --remove": "knockctl: the chain TRAFFIC is not knockctl's: left as it is\nknockctl: hint: rename it, or load the printed file by hand\n",
	} {
		got := call(t, in(h), append(strings.Fields(args), "-c", conf)...)
		if got.code != 1 || got.stderr != want {
			t.Errorf("knockctl %s: %+v", args, got)
		}
	}
}

// TestKernelLog: knocks at a compiled ruleset become knockd's lines; a second
// listener is refused.
func TestKernelLog(t *testing.T) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	conf := writeConf(t, "[ssh]\nsequence=7000:udp,8000:udp,7000:udp,9000:udp\nopen=tcp/22\ncmd_timeout=30\n")
	if got := call(t, in(server), "export", "nftables", "--apply", "-c", conf); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := &safeBuffer{}, &safeBuffer{}
	listen := func(ctx context.Context, stdout, stderr *safeBuffer) (code int) {
		if err := server.Do(func() error {
			code = run(ctx, []string{"kernel-log"}, &world{stdout: stdout, stderr: stderr, run: noProgram})
			return nil
		}); err != nil {
			t.Error(err)
		}
		return code
	}
	done := make(chan int, 1)
	go func() { done <- listen(ctx, stdout, stderr) }()
	waitFor(t, stderr, "listening to NFLOG group 5\n")
	second := &safeBuffer{}
	if code := listen(ctx, &safeBuffer{}, second); code != 1 || !strings.Contains(second.String(), "another program listens to this NFLOG group\nknockctl: hint: stop the other program") {
		t.Errorf("a second listener: %d %s", code, second)
	}
	for _, address := range []string{nettest.Server4, "[" + nettest.Server6 + "]"} {
		for _, port := range []string{"7000", "8000", "7000", "9000"} {
			if err := client.Send(address+":"+port, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, src := range []string{nettest.Client4, nettest.Client6} {
		for _, text := range []string{"Stage 1", "Stage 2", "Stage 3", "Stage 4", "OPEN SESAME"} {
			waitFor(t, stdout, "] "+src+": ssh: "+text+"\n")
		}
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}

func waitFor(t *testing.T, b *safeBuffer, text string) {
	t.Helper()
	nettest.Eventually(t, text, func() bool { return strings.Contains(b.String(), text) })
}
