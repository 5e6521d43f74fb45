package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	serverAddr = "10.0.0.1"
	clientAddr = "10.0.0.2"
	port       = "22"
	greeting   = "hello from behind the door"
	openFor    = 4 * time.Second
)

const configuration = `[options]
	StateDir  = %s

[ssh]
	sequence    = 7000,9000,8000
	seq_timeout = 5
	tcpflags    = syn
	open        = tcp/22
	cmd_timeout = 4
`

// demo is the state of the show.
type demo struct {
	bin, dir       string
	server, client host
	log            chan string
}

// show plays the whole story. It returns an error at the first step that does
// not hold.
func show(bin string) error {
	dir, err := os.MkdirTemp("", "knockd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{bin: bin, dir: dir, log: make(chan string, 100)}
	if d.server, d.client, err = newHosts(serverAddr+"/24", clientAddr+"/24"); err != nil {
		return err
	}
	fmt.Printf("Two hosts in private network namespaces: server %s, client %s.\n", serverAddr, clientAddr)
	fmt.Printf("A service listens on port %s of the server. Its knockd.conf:\n\n", port)
	text := fmt.Sprintf(configuration, filepath.Join(dir, "state"))
	fmt.Println(indent(text))
	if err := d.listen(); err != nil {
		return err
	}
	knockd, err := d.start(text)
	if err != nil {
		return err
	}
	if err := d.story(); err != nil {
		return err
	}
	if err := knockd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := knockd.Wait(); err != nil {
		return fmt.Errorf("knockd ended: %w", err)
	}
	d.say()
	fmt.Println("\nEvery step held.")
	return nil
}

func (d *demo) story() error {
	fmt.Println("\nBefore the knock:")
	if err := d.expect(false); err != nil {
		return err
	}
	fmt.Println("\nThe knock:")
	if err := d.knock(); err != nil {
		return err
	}
	opened := time.Now()
	d.say()
	if err := d.expect(true); err != nil {
		return err
	}
	fmt.Printf("\n%.0f seconds later:\n", openFor.Seconds())
	time.Sleep(time.Until(opened.Add(openFor + time.Second)))
	d.say()
	return d.expect(false)
}

func (d *demo) listen() error {
	return d.server.do(func() error {
		l, err := net.Listen("tcp", ":"+port)
		if err == nil {
			go greet(l, greeting)
		}
		return err
	})
}

// start runs knockd on the server and waits until it listens.
func (d *demo) start(text string) (*exec.Cmd, error) {
	conf := filepath.Join(d.dir, "knockd.conf")
	if err := writeFile(conf, text); err != nil {
		return nil, err
	}
	knockd := exec.Command(filepath.Join(d.bin, "knockd"), "-c", conf, "-i", "eth0")
	stderr, err := knockd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.server.do(knockd.Start); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.log <- lines.Text()
		}
	}()
	for line := range d.log {
		fmt.Println("  server log: " + line)
		if strings.HasPrefix(line, "starting up") {
			return knockd, nil
		}
	}
	return nil, errors.New("knockd did not start")
}

// knock runs the client, and waits for the word that the door is open.
func (d *demo) knock() error {
	args := []string{serverAddr, "7000", "9000", "8000"}
	fmt.Println("  client$ knock " + strings.Join(args, " "))
	knock := exec.Command(filepath.Join(d.bin, "knock"), args...)
	knock.Stdout, knock.Stderr = os.Stdout, os.Stderr
	knock.Env = append(os.Environ(), "HOME="+d.dir, "XDG_CONFIG_HOME="+d.dir) // nobody's profiles
	if err := d.client.do(knock.Run); err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	timeout := time.After(5 * time.Second)
	for {
		select {
		case line, ok := <-d.log:
			if !ok {
				return errors.New("knockd has ended")
			}
			fmt.Println("  server log: " + line)
			if strings.Contains(line, "ssh: opened ") {
				return nil
			}
		case <-timeout:
			return errors.New("the door did not open")
		}
	}
}

// say prints what the server has logged by now.
func (d *demo) say() {
	for {
		select {
		case line, ok := <-d.log:
			if !ok {
				return
			}
			fmt.Println("  server log: " + line)
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// expect reports whether the client reaches the service, and whether it should.
func (d *demo) expect(open bool) error {
	fmt.Printf("  client$ connect %s:%s\n", serverAddr, port)
	var word string
	err := d.client.do(func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(serverAddr, port), time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		word, err = bufio.NewReader(c).ReadString('\n')
		return err
	})
	switch {
	case err == nil && open:
		fmt.Printf("  %q\n", strings.TrimSpace(word))
		return nil
	case err == nil:
		return errors.New("the port can be reached, and should not")
	case open:
		return fmt.Errorf("the port cannot be reached, and should: %w", err)
	}
	fmt.Println("  no answer: the port is closed")
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "), "\t", "    ")
}
