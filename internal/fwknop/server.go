package fwknop

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// server is what matters of fwknopd.conf.
type server struct {
	ports      string // of spa_port
	maxAge     string // seconds
	udp        bool   // ENABLE_UDP_SERVER: it knows no destination
	forwarding bool
	localNAT   bool
	masquerade struct {
		on bool
		at Place
	}
	transports []string // of spa_transport
	forwarded  bool     // X-Forwarded-For
}

var udpPort = regexp.MustCompile(`^udp (?:dst )?port ([0-9]{1,5})$`)

// serverIgnored are variables whose work knockd does in its own way, so that
// nobody misses them.
var serverIgnored = words("PCAP_DISPATCH_COUNT PCAP_LOOP_SLEEP MAX_SNIFF_BYTES ENABLE_PCAP_PROMISC EXIT_AT_INTF_DOWN UDPSERV_SELECT_TIMEOUT RULES_CHECK_THRESHOLD " +
	"FWKNOP_RUN_DIR FWKNOP_CONF_DIR FWKNOP_PID_FILE ACCESS_FILE VERBOSE CMD_EXEC_TIMEOUT FLUSH_IPT_AT_INIT FIREWALL_EXE IPT_EXE GPG_HOME_DIR GPG_EXE SUDO_EXE " +
	"LOCALE ALLOW_LEGACY_ACCESS_REQUESTS ENABLE_IPT_COMMENT_CHECK FIREWD_EXE")

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

func yes(v string) bool { return v != "" && (v[0] == 'Y' || v[0] == 'y') }

// readServer reads fwknopd.conf, if there is one. What it does not say has
// fwknopd's default.
func (i *Import) readServer(r *reader, path string) server {
	s := server{ports: "62201", maxAge: "120"}
	if path == "" {
		return s
	}
	r.read(path, maxDepth, Place{}) // includes are for access.conf
	vars := r.vars
	r.vars = nil
	last := map[string]variable{}
	for i := range vars {
		vars[i].value = strings.TrimSpace(vars[i].value)
		last[vars[i].name] = vars[i]
	}
	udpServer := yes(last["ENABLE_UDP_SERVER"].value)
	for _, v := range vars {
		if last[v.name] == v {
			i.serverVar(&s, v, udpServer)
		}
	}
	return s
}

func (i *Import) serverVar(s *server, v variable, udpServer bool) {
	on := yes(v.value)
	switch {
	case serverIgnored[v.name]:
	case strings.HasPrefix(v.name, "ENABLE_") && !on && v.name != "ENABLE_SPA_PACKET_AGING" && v.name != "ENABLE_DIGEST_PERSISTENCE" && v.name != "ENABLE_NAT_DNS":
	case v.name == "PCAP_INTF":
		if !udpServer {
			i.note(Changed, v.at, "PCAP_INTF: fwknopd listened on %q; knockd listens on Interface of its [options], which must hold it", v.value)
		}
	case v.name == "PCAP_FILTER":
		i.filter(s, v, udpServer)
	case v.name == "UDPSERV_PORT":
		if udpServer {
			i.serverPort(s, v)
		}
	case v.name == "ENABLE_UDP_SERVER":
		s.udp = true
		i.note(Carried, v.at, "ENABLE_UDP_SERVER: packets are seen without a listener; no socket is open")
	case v.name == "MAX_SPA_PACKET_AGE":
		i.serverAge(s, v)
	default:
		i.serverSwitch(s, v, on)
	}
}

// serverSwitch is serverVar for what is only on or off, or a text to report.
func (i *Import) serverSwitch(s *server, v variable, on bool) {
	switch v.name {
	case "ENABLE_SPA_PACKET_AGING":
		if !on {
			i.note(Changed, v.at, "ENABLE_SPA_PACKET_AGING N: the age of a packet is always checked (spa_max_age)")
		}
	case "ENABLE_DIGEST_PERSISTENCE":
		if !on {
			i.note(Changed, v.at, "ENABLE_DIGEST_PERSISTENCE N: a packet used before is always refused")
		}
	case "DIGEST_FILE":
		i.note(Changed, v.at, "DIGEST_FILE: fwknopd's replay cache is not taken over; no packet older than knockd's own store is accepted")
	case "ENABLE_NAT_DNS":
		if on {
			i.note(Lost, v.at, "ENABLE_NAT_DNS: NAT messages to a host name are refused; clients must name an address")
		}
	case "ENABLE_IPT_FORWARDING":
		s.forwarding = true
	case "ENABLE_IPT_LOCAL_NAT":
		s.localNAT = true
	case "ENABLE_IPT_SNAT":
		s.masquerade.on, s.masquerade.at = true, v.at
	case "SNAT_TRANSLATE_IP":
		i.note(Lost, v.at, "SNAT_TRANSLATE_IP: the address cannot be chosen")
	case "ENABLE_SPA_OVER_HTTP":
		s.transports = []string{"tcp", "http"}
		i.note(Carried, v.at, "ENABLE_SPA_OVER_HTTP: spa_transport = tcp, http")
	case "ENABLE_TCP_SERVER":
		if s.transports == nil {
			s.transports = []string{"tcp"}
		}
		i.note(Changed, v.at, "ENABLE_TCP_SERVER: spa_transport = tcp; knockd opens no port, so a program that accepts connections must be there")
	case "TCPSERV_PORT":
		i.note(Changed, v.at, "TCPSERV_PORT: the port must be in spa_port, too")
	case "ENABLE_X_FORWARDED_FOR":
		s.forwarded = true
		i.note(Changed, v.at, "ENABLE_X_FORWARDED_FOR: name the proxies in trusted_proxies; nobody else's header is believed")
	case "SYSLOG_IDENTITY", "SYSLOG_FACILITY":
		i.note(Lost, v.at, "%s: knockd logs as knockd, to LogFile or with UseSyslog", v.name)
	case "FLUSH_IPT_AT_EXIT":
		if !on {
			i.note(Changed, v.at, "FLUSH_IPT_AT_EXIT N: doors are closed when knockd stops, unless OnStop = keep")
		}
	case "ENABLE_PCAP_ANY_DIRECTION":
		i.note(Lost, v.at, "ENABLE_PCAP_ANY_DIRECTION: outgoing packets are never taken")
	default:
		i.note(Lost, v.at, "%s: has no counterpart", v.name)
	}
}

func (i *Import) filter(s *server, v variable, udpServer bool) {
	m := udpPort.FindStringSubmatch(strings.Join(strings.Fields(v.value), " "))
	switch {
	case udpServer:
	case m != nil:
		i.serverPort(s, variable{at: v.at, name: v.name, value: m[1]})
	default:
		i.note(Lost, v.at, "PCAP_FILTER: only \"udp port N\" is understood; spa_port = %s is the default, correct it", s.ports)
	}
}

func (i *Import) serverPort(s *server, v variable) {
	n, rest := readNumber(v.value)
	if n < 1 || n > math.MaxUint16 {
		i.note(Lost, v.at, "%s: %q is no port", v.name, v.value)
		return
	}
	s.ports = strconv.FormatInt(n, 10)
	i.note(Carried, v.at, "%s: spa_port = %s", v.name, s.ports)
	i.behind(v.at, v.name, s.ports, rest)
}

func (i *Import) serverAge(s *server, v variable) {
	n, rest := readNumber(v.value)
	if n < 1 || n > 100000 {
		i.note(Lost, v.at, "MAX_SPA_PACKET_AGE: %q is not a number from 1 to 100000", v.value)
		return
	}
	s.maxAge = strconv.FormatInt(n, 10)
	i.note(Carried, v.at, "MAX_SPA_PACKET_AGE: spa_max_age = %s", s.maxAge)
	i.behind(v.at, v.name, s.maxAge, rest)
}
