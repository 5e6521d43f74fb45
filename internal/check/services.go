package check

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft/inspect"
	"knockd/internal/statefile"
)

// listeners are the ports on which programs of this host serve others.
type listeners []knock.Step

func listenersNow() (all listeners) {
	for _, l := range netstate.Listeners() {
		all = append(all, knock.Step{Proto: knock.Protocol(l.Proto), Port: l.Port})
	}
	return all
}

// adviseSteps says which steps are ports of services. A single step is no secret,
// and the port of a step that takes any is that of what it opens.
func (l listeners) adviseSteps(conf *config.Config, doors []*engine.Door) (advice []Finding) {
	for i, d := range doors {
		key := "sequence"
		if conf.Doors[i].OneTimeFile != "" {
			key = "one_time_sequences"
		}
		if len(d.Sequence) < 2 || d.Target.IsValid() {
			continue
		}
		for n, step := range d.Sequence {
			if slices.Contains(l, step) {
				advice = append(advice, adviseOn(conf, conf.Doors[i], key, "step %d: a program of this host listens on its port: "+
					"who uses that service takes the step, and a port that answers is no secret; choose one without a service", n+1))
			}
		}
	}
	return advice
}

// adviseTransports says which doors wait for connections that nobody accepts.
func (l listeners) adviseTransports(conf *config.Config) (advice []Finding) {
	for _, d := range conf.Doors {
		if d.SPA == nil || len(d.SPA.Transports) == 0 {
			continue
		}
		accepted := slices.ContainsFunc(d.SPA.Ports, func(r config.PortRange) bool {
			return slices.ContainsFunc(l, func(s knock.Step) bool { return s.Proto == knock.TCP && r.Has(s) })
		})
		if !accepted {
			advice = append(advice, adviseOn(conf, d, "spa_transport", "no program of this host listens on a TCP port of spa_port: "+
				"no connection comes about that could carry a packet"))
		}
	}
	return advice
}

// sshPorts returns the ports on which sshd listens, by its configuration, if a
// program listens there now.
func (l listeners) sshPorts() (ports []knock.PortRange) {
	for _, port := range sshdPorts(sshdConfig) {
		if step := (knock.Step{Proto: knock.TCP, Port: port}); slices.Contains(l, step) {
			ports = append(ports, step.Ports())
		}
	}
	return ports
}

// sshdConfig is where sshd is configured, and its drop-ins are below it with .d.
var sshdConfig = "/etc/ssh/sshd_config"

var sshdPort = regexp.MustCompile(`(?mi)^[ \t]*(Port|ListenAddress)(?:[ \t]+|[ \t]*=[ \t]*)"?([^ \t\r\n"=]+)`)

// sshdPorts reads sshd's ports from its configuration; 22 if nothing says another.
func sshdPorts(file string) (ports []uint16) {
	files, _ := filepath.Glob(file + ".d/*.conf")
	for _, name := range append(files, file) {
		text, _, err := statefile.Source{Max: 1 << 20}.Read(name)
		if err != nil {
			continue
		}
		for _, m := range sshdPort.FindAllStringSubmatch(string(text), -1) {
			value := m[2]
			if strings.EqualFold(m[1], "ListenAddress") {
				if _, value, err = net.SplitHostPort(value); err != nil {
					continue
				}
			}
			if n, err := strconv.ParseUint(value, 10, 16); err == nil && n > 0 && !slices.Contains(ports, uint16(n)) {
				ports = append(ports, uint16(n))
			}
		}
	}
	if ports == nil {
		ports = []uint16{22}
	}
	return ports
}

// adviseSSH says so if nobody reaches sshd but through a door.
func (l listeners) adviseSSH(conf *config.Config, opened [][]knock.PortRange) (advice []Finding) {
	ports := l.sshPorts()
	var behind []*config.Door
	for _, p := range ports {
		i := slices.IndexFunc(opened, func(open []knock.PortRange) bool {
			return slices.ContainsFunc(open, func(r knock.PortRange) bool { return r.Holds(p) })
		})
		if i < 0 {
			return nil // no door opens it: either it is open, or nobody wants to get in
		}
		behind = append(behind, conf.Doors[i])
	}
	if len(ports) == 0 || len(conf.Rescue) > 0 {
		return nil
	}
	closed := firewall.Closes(conf, ports)
	if !closed {
		reached, err := inspect.Reached(firewall.Options(conf, nil), ports)
		if err != nil {
			return []Finding{{Unseen, fmt.Sprintf("whether anybody reaches sshd without a knock: %v", err)}}
		}
		if len(reached) > 0 {
			return nil
		}
	}
	other := "a rule for an address of yours"
	if closed {
		other = "rescue = an address of yours"
	}
	return []Finding{adviseOn(conf, behind[0], "", "opens %s, on which sshd listens and which nothing else lets in: where knockd does not run, or no knock arrives, "+
		"nobody gets in; keep another way: a console, or %s", knock.PortNames(ports, ", "), other)}
}
