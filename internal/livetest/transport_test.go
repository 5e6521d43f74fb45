package livetest

import (
	"os/exec"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// serveWeb runs nginx in a host, with what a server is to do.
func serveWeb(t *testing.T, h *nettest.Host, server string) {
	t.Helper()
	nettest.NeedProgram(t, "nginx")
	dir := t.TempDir()
	paths := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += name + "_temp_path " + dir + "/" + name + ";\n"
	}
	nettest.Write(t, dir+"/index.html", "hello\n")
	nettest.Write(t, dir+"/nginx.conf", "user root;\ndaemon off;\nworker_processes 1;\npid "+dir+"/pid;\nerror_log "+dir+"/errors;\nevents { worker_connections 64; }\n"+
		"http {\naccess_log off;\n"+paths+"server {\nlisten 80;\n"+strings.ReplaceAll(server, "DIR", dir)+"\n}\n}\n")
	if err := h.Start(exec.Command("nginx", "-e", dir+"/errors", "-c", dir+"/nginx.conf")); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "nginx serves", func() bool { return h.Reaches("127.0.0.1:80", shutOff) })
}

// webDoor is a door that listens on the port of a web server.
func webDoor(rest string) string {
	return "[options]\n\tlogfile = LOG\n[ssh]\n\tspa_key_file = DIR/ssh.keys\n\tspa_port = 80\n\topen = tcp/22\n\tcmd_timeout = 4\n\t" + rest + "\n"
}

// TestSPAThroughWebServer: Debian's client and ours open a door by way of a
// port on which nginx answers, and which we only watch.
func TestSPAThroughWebServer(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	serveWeb(t, server, "root DIR;")
	server.EchoTCP(":22")
	d := startKeyed(t, server, webDoor("spa_transport = tcp, http"), spaKeys)
	keys := keyFile(t)
	opened := 0
	for _, way := range []string{"tcp", "http", "tcpraw"} {
		shut(t, client, ssh4)
		args := append([]string{"-A", "tcp/22", "-a", nettest.Client4, "-P", way, "-p", "80"}, keyed...)
		if way == "tcpraw" {
			args = append(args, "-Q", nettest.Client4)
		}
		fwknop(t, client, "", args...)
		opened++
		d.waitFor("ssh: opened tcp/22 for 10.7.0.1 (4 s)", opened)
		opens(t, client, ssh4)
		d.waitFor("ssh: closed for 10.7.0.1", opened)
		closes(t, client, ssh4)
		if status, stdout, stderr := outcome(t, client, program(t, "knock"), "spa", "--key-file", keys,
			"-A", "tcp/22", "-P", way, "-p", "80", nettest.Server4); status != 0 || stdout+stderr != "" {
			t.Errorf("%s: status %d\n%s%s", way, status, stdout, stderr)
		}
		opened++
		d.waitFor("ssh: opened tcp/22 for 10.7.0.1 (4 s)", opened)
		opens(t, client, ssh4)
		d.waitFor("ssh: closed for 10.7.0.1", opened)
		closes(t, client, ssh4)
	}
}

// TestSPATransportNotNamed: what spa_transport does not name is not heard.
func TestSPATransportNotNamed(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	serveWeb(t, server, "root DIR;")
	server.EchoTCP(":22")
	d := startKeyed(t, server, webDoor("spa_transport = http"), spaKeys)
	fwknop(t, client, "", append([]string{"-A", "tcp/22", "-a", nettest.Client4, "-P", "tcp", "-p", "80"}, keyed...)...)
	fwknop(t, client, "", append([]string{"-A", "tcp/22", "-a", nettest.Client4, "-P", "http", "-p", "80"}, keyed...)...)
	d.waitFor("OPEN SESAME", 1)
	if n := strings.Count(d.text(), "OPEN SESAME"); n != 1 {
		t.Errorf("opened %d times\n%s", n, d.text())
	}
}

// TestSPABehindProxy: a request that nginx on another host passes on opens for
// the address that it vouches for if the door trusts it; else for nginx's own.
func TestSPABehindProxy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ door, opened string }{
		"trusted":     {"trusted_proxies = 10.9.0.1", "10.7.0.1"},
		"not trusted": {"trusted_proxies = 10.9.0.77", "10.9.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, proxy, server := natSite(t)
			client.Run("ip", "route", "add", "10.9.0.0/24", "via", nettest.Server4)
			serveWeb(t, proxy, "location / { proxy_pass http://10.9.0.2; proxy_ignore_client_abort on; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }")
			serveWeb(t, server, "root DIR;")
			d := startKeyed(t, server, webDoor("spa_transport = http\n\t"+c.door), spaKeys)
			shut(t, client, "10.9.0.2:22")
			fwknop(t, client, "", append([]string{"-A", "tcp/22", "-s", "-P", "http", "-p", "80"}, keyed...)...)
			d.waitFor("10.9.0.1: ssh: client laptop asks for tcp/22 for "+c.opened, 1)
			d.waitFor("ssh: opened tcp/22 for "+c.opened+" (4 s)", 1)
			d.waitFor("ssh: closed for "+c.opened, 1)
			if status, stdout, stderr := outcome(t, client, program(t, "knock"), "spa", "--key-file", keyFile(t),
				"-s", "-A", "tcp/22", "-P", "http", "-p", "80", nettest.Server4); status != 0 || stdout+stderr != "" {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
			d.waitFor("ssh: opened tcp/22 for "+c.opened+" (4 s)", 2)
			if from := map[string]*nettest.Host{"10.7.0.1": client, "10.9.0.1": proxy}; !reaches(from[c.opened], "10.9.0.2:22") {
				t.Errorf("not open for %s", c.opened)
			}
		})
	}
}
