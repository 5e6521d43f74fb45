package client

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// replyTime is how long a Watcher waits for what comes back of a packet. Linux
// repeats an unanswered SYN after a second: before that the socket is closed, so
// that no more is sent than without a Watcher.
const replyTime = 900 * time.Millisecond

// Sent is a packet that was sent, or tried to be, and what came back of it.
type Sent struct {
	At    time.Time
	What  string // "tcp syn", "udp, 1 octet": which packet, in words
	From  netip.AddrPort
	To    netip.AddrPort
	Reply Reply
}

// ReplyKind is what kind of answer there was.
type ReplyKind uint8

// The kinds. Unsent is a packet that this machine did not let go.
const (
	Silence  ReplyKind = iota
	Reset              // a TCP reset: the host is there, and nothing listens
	Accepted           // a program accepts connections on the port
	Data               // a program has answered
	ICMP               // somebody says that it cannot be delivered
	Refusal            // the system says that something came back, and not what
	Unsent
)

// Reply is what came back of a packet.
type Reply struct {
	Kind   ReplyKind
	After  time.Duration // until it was noticed; of Silence, how long was waited
	Octets int           // of Data

	// Of ICMP: its type and code (RFC 792, RFC 4443), and who sent it.
	Type, Code uint8
	By         netip.Addr

	Err error // of Refusal and Unsent
}

// String returns the reply in words, without the time.
func (r Reply) String() string {
	switch r.Kind {
	case Reset:
		return "a reset"
	case Accepted:
		return "a connection: a program listens there"
	case Data:
		return fmt.Sprintf("an answer of %d octets", r.Octets)
	case ICMP:
		return fmt.Sprintf("ICMP %s (%d/%d) from %v", icmpName(r.By.Is6(), r.Type, r.Code), r.Type, r.Code, r.By)
	case Refusal:
		return r.Err.Error()
	case Unsent:
		return "not sent: " + r.Err.Error()
	}
	return "nothing"
}

// icmpNames are the errors that have a name of their own, by type and code: of
// ICMP for IPv4 (IANA "ICMP Type Numbers"), and of that for IPv6.
var icmpNames = [2]map[[2]uint8]string{
	{
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 4}: "fragmentation needed", {3, 5}: "source route failed", {3, 6}: "network unknown", {3, 7}: "host unknown",
		{3, 8}: "source isolated", {3, 9}: "network prohibited", {3, 10}: "host prohibited", {3, 11}: "network unreachable for this service",
		{3, 12}: "host unreachable for this service", {3, 13}: "administratively prohibited", {3, 14}: "precedence violation",
		{3, 15}: "precedence cutoff", {11, 0}: "time exceeded on the way", {11, 1}: "reassembly time exceeded",
	},
	{
		{1, 0}: "no route", {1, 1}: "administratively prohibited", {1, 2}: "beyond the scope of the source", {1, 3}: "address unreachable",
		{1, 4}: "port unreachable", {1, 5}: "source address failed policy", {1, 6}: "route rejected", {2, 0}: "packet too big",
		{3, 0}: "time exceeded on the way", {3, 1}: "reassembly time exceeded",
	},
}

func icmpName(v6 bool, kind, code uint8) string {
	names := icmpNames[0]
	if v6 {
		names = icmpNames[1]
	}
	if name, ok := names[[2]uint8{kind, code}]; ok {
		return name
	}
	return "error"
}

// Watcher takes note of packets that are sent and of what comes back.
type Watcher struct {
	// OnSent is called for each packet, in the order in which they were sent, as
	// soon as its reply and those of all before it are known.
	OnSent func(Sent)

	mu      sync.Mutex
	pending []*pending // in order, the oldest first
	replies sync.WaitGroup
}

type pending struct {
	Sent
	known bool
}

// sent notes a packet whose reply is awaited by a function, or is known if that
// is nil. The function runs beside what goes on.
func (w *Watcher) sent(s Sent, await func() Reply) {
	p := &pending{Sent: s, known: await == nil}
	w.mu.Lock()
	w.pending = append(w.pending, p)
	w.mu.Unlock()
	if await == nil {
		w.tell()
		return
	}
	w.replies.Go(func() {
		r := await()
		r.After = time.Since(p.At)
		w.mu.Lock()
		p.Reply, p.known = r, true
		w.mu.Unlock()
		w.tell()
	})
}

// tell hands on all that is known of the oldest packets.
func (w *Watcher) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > 0 && w.pending[0].known {
		if w.OnSent != nil {
			w.OnSent(w.pending[0].Sent)
		}
		w.pending = w.pending[1:]
	}
}

// Wait waits until all replies are known, or did not come.
func (w *Watcher) Wait() {
	if w != nil {
		w.replies.Wait()
	}
}

// note takes note of a packet whose reply is known.
func (r Route) note(s Sent) {
	if r.Watch != nil {
		s.Reply.After = time.Since(s.At)
		r.Watch.sent(s, nil)
	}
}

// failed notes a packet that was not sent, or was refused before anybody could wait
// for a reply.
func (r Route) failed(note Sent, err error) {
	if err == nil {
		return
	}
	note.Reply = Reply{Kind: Unsent, Err: withoutAddress(err)}
	if IsRefused(err) {
		note.Reply.Kind = Refusal
	}
	r.note(note)
}

// watchConn notes a packet that went out over a connected socket of datagrams, and
// closes the socket when its reply is known. A judge says whether what can be read
// is the reply; nil: everything is.
func (r Route) watchConn(note Sent, conn net.Conn, judge func(packet []byte) (Reply, bool)) {
	r.Watch.sent(note, func() Reply {
		defer conn.Close()
		conn.SetReadDeadline(note.At.Add(replyTime))
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			switch {
			case err == nil && judge == nil:
				return Reply{Kind: Data, Octets: n}
			case err == nil:
				if reply, ok := judge(buf[:n]); ok {
					return reply
				}
			case isTimeout(err):
				return Reply{}
			default:
				return refusal(conn, err)
			}
		}
	})
}

// refusal is what came back when a socket says no more than that.
func refusal(conn net.Conn, err error) Reply {
	if reply, ok := queued(conn); ok {
		return reply
	}
	return Reply{Kind: Refusal, Err: withoutAddress(err)}
}

// addrPort is the address of a socket; the port of one that has none is 0.
func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		p = netip.AddrPortFrom(ip, 0)
	}
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
