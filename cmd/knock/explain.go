package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"knockd/internal/client"
	"knockd/internal/client/plan"
)

// explanation is --explain: it tells of each packet what was sent, from where and
// when, and what came back. A nil one tells nothing.
type explanation struct {
	report  *report
	watcher *client.Watcher
	spa     bool // not hits, but an authorization is sent
	sent    []client.Sent
}

// packet is one of the summary's, with --json.
type packet struct {
	Time    time.Time `json:"time"`
	What    string    `json:"what"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to"`
	Reply   string    `json:"reply"` // "nothing", "reset", "connection", "data", "icmp", "refused", "unsent"
	Seconds float64   `json:"seconds"`
	Type    *uint8    `json:"icmp_type,omitempty"`
	Code    *uint8    `json:"icmp_code,omitempty"`
	By      string    `json:"icmp_from,omitempty"`
	Octets  int       `json:"octets,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// replyNames are the kinds of replies for programs.
var replyNames = map[client.ReplyKind]string{
	client.Silence: "nothing", client.Reset: "reset", client.Accepted: "connection", client.Data: "data", client.ICMP: "icmp",
	client.Refusal: "refused", client.Unsent: "unsent",
}

// watch has a plan tell of what it sends.
func (x *explanation) watch(p *plan.Plan) {
	if x == nil {
		return
	}
	x.watcher = &client.Watcher{OnSent: x.tell}
	p.Pace.Watch, x.spa = x.watcher, p.SPA != nil
}

// tell tells of one packet.
func (x *explanation) tell(s client.Sent) {
	x.sent = append(x.sent, s)
	r := s.Reply
	x.report.say("%s  %s  %s > %s  %s%s", s.At.Format("15:04:05.000"), s.What, place(s.From), place(s.To), r, after(r))
	p := packet{Time: s.At, What: s.What, From: place(s.From), To: place(s.To), Reply: replyNames[r.Kind], Seconds: r.After.Seconds(), Octets: r.Octets}
	if r.Kind == client.ICMP {
		p.Type, p.Code, p.By = &r.Type, &r.Code, r.By.String()
	}
	if r.Err != nil {
		p.Error = r.Err.Error()
	}
	x.report.summary.Packets = append(x.report.summary.Packets, p)
}

// place is an address and a port, as far as they are known.
func place(a netip.AddrPort) string {
	switch {
	case !a.Addr().IsValid():
		return "this host"
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

// after says how long a reply took, or was waited for.
func after(r client.Reply) string {
	switch r.Kind {
	case client.Unsent:
		return ""
	case client.Silence:
		return fmt.Sprintf(" within %v", r.After.Round(100*time.Millisecond))
	}
	return fmt.Sprintf(", after %.1f ms", float64(r.After.Microseconds())/1000)
}

// finish waits for what may come back still, and says what it all means.
func (x *explanation) finish() {
	if x == nil {
		return
	}
	x.watcher.Wait()
	x.report.summary.Verdict = verdict(x.sent, x.spa)
	for _, line := range x.report.summary.Verdict {
		x.report.say("%s", line)
	}
}

// verdict says what replies mean, a sentence each.
func verdict(sent []client.Sent, spa bool) (lines []string) {
	var routers []string
	count := map[client.ReplyKind]int{}
	host := 0 // replies that the host itself has sent
	for _, s := range sent {
		r := s.Reply
		count[r.Kind]++
		switch {
		case r.Kind == client.ICMP && r.By != s.To.Addr() && r.By == s.From.Addr():
			lines = appendNew(lines, fmt.Sprintf("%v is this machine: it has no way to %v, or its own firewall refuses", r.By, s.To.Addr()))
		case r.Kind == client.ICMP && r.By != s.To.Addr():
			routers = appendNew(routers, r.By.String())
		case r.Kind != client.Silence && r.Kind != client.Unsent:
			host++
		}
	}
	if len(routers) > 0 {
		lines = append(lines, fmt.Sprintf("%s, on the way, keeps packets from the host: ask who runs it, or try from another network", strings.Join(routers, " and ")))
	}
	if host > 0 {
		lines = append(lines, "what was answered has reached the host; what it was to the doors there, knockctl explain says")
	}
	if !spa && count[client.Accepted]+count[client.Data] > 0 {
		lines = append(lines, "a port of a knock on which a program listens is seldom meant: is it the right host, and the right sequence?")
	}
	if count[client.Silence] > 0 {
		lines = append(lines, silent(sent))
	}
	return lines
}

// silent says what it means that nothing came back.
func silent(sent []client.Sent) string {
	i := slices.IndexFunc(sent, func(s client.Sent) bool { return s.Reply.Kind == client.Silence })
	from := sent[i].From.Addr()
	text := "where nothing came back, the packet was dropped by the host, as most do with what they do not serve, or on the way"
	if from.IsValid() {
		text += fmt.Sprintf(": knockctl explain --live %v, at the host, says which", from)
	}
	if from.IsPrivate() && !sent[i].To.Addr().IsPrivate() {
		text += " (a router replaces that address: look for the one that the host sees)"
	}
	return text
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
