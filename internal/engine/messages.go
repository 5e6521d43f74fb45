package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// verifier decides on the messages of the SPA doors.
type verifier struct {
	*spa.Verifier
	doors map[*spa.Door]*Door
	ports map[knock.Step]bool // where messages may arrive
	// early: the guard stands before translation of addresses, where the
	// outer port of NAT is seen.
	early bool
}

// newVerifier returns the verifier of the SPA doors; nil if there are none.
func newVerifier(conf *config.Config, list []*Door, once spa.Once) *verifier {
	keyed := SPADoors(list)
	if len(keyed) == 0 {
		return nil
	}
	v := &verifier{early: conf.NftMode == config.NftGuard && conf.GuardHook == config.HookPrerouting,
		doors: map[*spa.Door]*Door{}, ports: map[knock.Step]bool{}}
	for _, d := range list {
		if d.keys == nil {
			continue
		}
		v.doors[d.keys] = d
		for _, r := range d.keys.Listen {
			for port := int(r.First); port <= int(r.Last); port++ {
				v.ports[knock.Step{Proto: r.Proto, Port: uint16(port)}] = true
			}
		}
	}
	v.Verifier = spa.NewVerifier(keyed, once)
	return v
}

// Admission is a message with the right keys on its way to be admitted.
type Admission struct {
	verifier *verifier
	request  *spa.Request
	hit      knock.Hit // that brought it
	at       time.Time // when it came
	verdict  spa.Verdict
}

// Await decides on the message, once it is safe that it is used up. It may wait
// for the disk and be called by any goroutine; what follows is Admitted's.
func (a *Admission) Await() { a.verdict = a.verifier.Admit(a.request, a.at) }

// Refused tells of a message that cannot be admitted, with the reason. It is used
// up all the same, else whoever has overheard it could send it again.
func (e *Engine) Refused(a *Admission, reason string) {
	verdict := a.request.Refuse(reason)
	e.refused(&a.hit, &verdict, a.at)
}

// examined carries out what the verifier says of a packet.
func (e *Engine) examined(hit *knock.Hit, r *spa.Request, verdict spa.Verdict, at time.Time) {
	if r != nil {
		e.effects.Admit(at, &Admission{verifier: e.verifier, request: r, hit: *hit, at: at})
	} else {
		e.refused(hit, &verdict, at)
	}
}

func (e *Engine) refused(hit *knock.Hit, verdict *spa.Verdict, at time.Time) {
	if verdict.Outcome > spa.Untried {
		e.refusals++
	}
	e.explainMessage(at, hit, verdict)
	if verdict.Logged() && e.effects.Allows() {
		e.effects.Tell(at, verdict.Event())
	}
}

// Admitted carries out what Await has decided, unless a reload has taken or
// changed the door since.
func (e *Engine) Admitted(a *Admission) {
	verdict, door := a.verdict, a.verifier.doors[a.verdict.By]
	if verdict.Outcome == spa.Opened {
		if fault := e.impossible(door, &verdict.Grant); fault != "" {
			verdict.Outcome, verdict.Reason = spa.Denied, fault
		}
	}
	if verdict.Outcome != spa.Opened {
		e.refused(&a.hit, &verdict, a.at)
		return
	}
	e.explainMessage(a.at, &a.hit, &verdict)
	accepted := acceptedEvent(&verdict)
	e.effects.Tell(a.at, accepted)
	e.open(a.at, door, a.verifier.requested(door, &verdict), event.Admitted{Door: accepted.Door, Knocker: event.Knocker{Addr: accepted.For}})
}

// impossible says why an opening that the door allows cannot be, "" if it can.
func (e *Engine) impossible(door *Door, g *spa.Grant) string {
	switch {
	case !slices.Contains(e.doors, door):
		return "the door was changed meanwhile"
	case g.Local && !e.effects.IsLocal(g.NAT.Addr):
		return fmt.Sprintf("it asks for local NAT to %v, which is not an address of this host", g.NAT.Addr)
	}
	return ""
}

func acceptedEvent(v *spa.Verdict) event.MessageAccepted {
	g := &v.Grant
	accepted := event.MessageAccepted{Src: v.Src, Door: v.Door, Client: v.Client, For: g.Addr, Timeout: g.Timeout}
	for _, p := range g.Ports {
		accepted.Ports = append(accepted.Ports, p.Ports())
	}
	if g.NAT != nil {
		accepted.NAT = netip.AddrPortFrom(g.NAT.Addr, g.NAT.Port)
	}
	return accepted
}

// requested returns what a message opens.
func (v *verifier) requested(door *Door, verdict *spa.Verdict) []knock.Opening {
	g := &verdict.Grant
	base := door.openingFor(g.Addr)
	base.Timeout = g.Timeout
	base.Vars.Client, base.Vars.Src, base.Vars.Dst = verdict.Client, verdict.Src.String(), verdict.Dst.String()
	var list []knock.Opening
	for i := range door.Actions {
		a := &door.Actions[i]
		switch {
		case !a.For.Has(g.Addr):
		case a.Opens == config.OpensAsked:
			for _, p := range v.portsOf(door, g) {
				args := a.Args
				args.Port = p
				list = append(list, by(a, base, args))
			}
		case a.Opens != config.OpensNAT:
			list = appendFor(list, a, base, g.Ports)
		case g.NAT != nil:
			args := a.Args
			args.Port, args.To = g.Ports[0], netip.AddrPortFrom(g.NAT.Addr, g.NAT.Port)
			list = append(list, by(a, base, args))
		}
	}
	return list
}

// portsOf returns the ports of this host that a message opens without a command:
// those asked for that the door opens so, or with NAT what the packets need that
// a port leads elsewhere.
func (v *verifier) portsOf(door *Door, g *spa.Grant) []knock.Step {
	if g.NAT == nil {
		return slices.DeleteFunc(slices.Clone(g.Ports), func(p knock.Step) bool { return !door.keys.Opens(p) })
	}
	var ports []knock.Step
	if v.early {
		ports = append(ports, g.Ports[0])
	}
	if inner := (knock.Step{Proto: g.Ports[0].Proto, Port: g.NAT.Port}); g.Local && (!v.early || inner != g.Ports[0]) {
		ports = append(ports, inner)
	}
	return ports
}

// appendFor appends the openings by an action that opens all at once: one for
// each port if its commands name it, else one.
func appendFor(list []knock.Opening, a *config.Action, base knock.Opening, ports []knock.Step) []knock.Opening {
	commands := a.Args.Start + a.Args.Stop
	if !strings.Contains(commands, "%PORT%") && !strings.Contains(commands, "%PROTO%") {
		ports = ports[:1]
	}
	for _, p := range ports {
		base.Vars.Port, base.Vars.Proto = strconv.Itoa(int(p.Port)), p.Proto.String()
		list = append(list, by(a, base, a.Args))
	}
	return list
}
