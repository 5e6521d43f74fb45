package show

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"knockd/internal/cli"
	"knockd/internal/control"
)

// Overview is all that knockctl status knows, and what it prints as JSON: the
// answers of Status, Doors, Openings and, for admins, Attempts.
type Overview struct {
	Status   control.StatusReply `json:"status"`
	Doors    []control.Door      `json:"doors"`
	Openings []control.Opening   `json:"openings"`
	Attempts []control.Attempt   `json:"attempts,omitempty"`
}

// Bounds of what is shown unless all is.
const (
	fewDoors = 50 // beyond, only those where something goes on are
	few      = 20 // people at a door
)

// Status writes an overview as "wg show" does.
func (p *Page) Status(o *Overview) string {
	w := &writer{Page: p}
	w.daemon(&o.Status)
	for i := range o.Status.Interfaces {
		w.listening(&o.Status.Interfaces[i])
	}
	if f := o.Status.Firewall; f != nil {
		w.firewall(f)
	}
	w.doors(o)
	return w.String()
}

func (w *writer) daemon(s *control.StatusReply) {
	w.heading("knockd", s.Version)
	w.field("running", fmt.Sprintf("%s (pid %d)", cli.Duration(w.Now.Sub(s.Started)), s.PID))
	w.field("configuration", cli.Printable(s.Config))
	if r := s.Reload; r != nil {
		w.reload(r)
	}
	w.field("confinement", w.confinement(&s.Confinement))
	doors := fmt.Sprint(s.Doors)
	if s.Disabled > 0 {
		doors += fmt.Sprintf(", %d disabled: no sequence is left", s.Disabled)
	}
	w.field("doors", doors)
	w.field("currently open", fmt.Sprint(s.Openings.Current))
	w.field("opened in all", fmt.Sprint(s.Openings.Total))
	w.field("refused", unlessNone(s.Refused))
	w.field("commands failed", unlessNone(s.Failed))
	if h := s.Hits; h != nil {
		w.field("attempts", fmt.Sprintf("%d currently, %d in all: %d failed, %d expired", h.Attempts.Current, h.Attempts.Total, h.Failed, h.Expired))
		w.field("messages refused", unlessNone(h.RefusedMessages))
		w.field("sources ignored", unlessNone(h.IgnoredSources))
		w.field("packets dropped", unlessNone(h.DroppedPackets))
	}
	w.limits(s.Limits)
}

func unlessNone(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (w *writer) reload(r *control.LastReload) {
	if r.Taken {
		w.field("last reload", w.ago(r.At))
		return
	}
	w.field("last reload", w.ago(r.At)+", "+w.Style.Bad("refused: the configuration before is in use"))
	for _, f := range r.Faults {
		w.line(cli.Printable(f))
	}
}

func (w *writer) confinement(c *control.Confinement) string {
	text := cli.Printable(c.User)
	switch {
	case c.Capabilities == nil:
		return text + ", with all capabilities"
	case len(c.Capabilities) == 0:
		text += ", without capabilities"
	case len(c.Capabilities) > few:
		text += fmt.Sprintf(", with %d capabilities", len(c.Capabilities))
	default:
		text += ", with " + joined(c.Capabilities, cli.Printable)
	}
	if c.NoNewPrivileges {
		text += ", and can get no others"
	}
	return text
}

// limitNames say what each limit is of.
var limitNames = map[string]string{
	control.LimitOpenings: "openings", control.LimitAttempts: "attempts (MaxAttempts)",
	control.LimitLogLines: "log lines a second (LogRate)", control.LimitMessages: "messages to try keys on",
}

func (w *writer) limits(list []control.Limit) {
	reached := slices.DeleteFunc(slices.Clone(list), func(l control.Limit) bool { return l.Reached == 0 })
	if len(reached) == 0 {
		return
	}
	w.field("limits reached", w.Style.Odd(fmt.Sprint(len(reached))))
	for _, l := range reached {
		text := cli.Printable(cmp.Or(limitNames[l.Name], l.Name))
		if l.Limit > 0 {
			text = fmt.Sprintf("%d %s", l.Limit, text)
		}
		text += ": " + cli.Counted(int(l.Reached), "time")
		if !l.Last.IsZero() {
			text += ", the last " + w.ago(l.Last)
		}
		w.line(text)
	}
}

func (w *writer) listening(i *control.ListenedOn) {
	w.heading("interface", cmp.Or(i.Name, "(default route)"))
	if i.Since.IsZero() {
		w.field("waiting", w.Style.Odd("it is not there"))
		return
	}
	w.field("addresses", joined(i.Addresses, address))
	w.field("listening", "for "+cli.Duration(w.Now.Sub(i.Since)))
}

func (w *writer) firewall(f *control.Firewall) {
	w.heading("firewall", f.Mode)
	w.field("table", cli.Printable(f.Table))
	if f.Fault == "" {
		w.field("health", w.Style.Good("ok"))
	} else {
		w.field("health", w.Style.Bad(cli.Printable(f.Fault)))
	}
}

// door is what there is to show of a door.
type door struct {
	*control.Door
	openings []control.Opening
	attempts []control.Attempt
}

func (w *writer) doors(o *Overview) {
	openings, attempts := map[string][]control.Opening{}, map[string][]control.Attempt{}
	for _, in := range o.Openings {
		openings[in.Door] = append(openings[in.Door], in)
	}
	for _, a := range o.Attempts {
		attempts[a.Door] = append(attempts[a.Door], a)
	}
	quiet := 0
	for i := range o.Doors {
		d := door{&o.Doors[i], openings[o.Doors[i].Door], attempts[o.Doors[i].Door]}
		if !w.All && len(o.Doors) > fewDoors && d.Openings.Current == 0 && len(d.openings)+len(d.attempts) == 0 {
			quiet++
			continue
		}
		w.door(&d)
		delete(openings, d.Door.Door)
	}
	w.gone(openings)
	if quiet > 0 {
		fmt.Fprintf(w, "\n%s at which nothing goes on (--all)\n", cli.Counted(quiet, "door"))
	}
}

func (w *writer) door(d *door) {
	w.heading("door", d.Door.Door)
	if d.Disabled {
		w.field("disabled", w.Style.Odd("no sequence is left"))
	}
	w.field("opens", opens(d.Door))
	w.field("opened in all", fmt.Sprint(d.Door.Openings.Total))
	if !d.Last.IsZero() {
		w.field("latest", w.ago(d.Last))
	}
	w.field("attempts failed", unlessNone(d.Failed))
	w.field("currently open", fmt.Sprint(d.Door.Openings.Current))
	w.people(d.openings, d.Door.Openings.Current)
	if len(d.attempts) > 0 {
		w.field("attempts in progress", fmt.Sprint(len(d.attempts)))
		for _, a := range d.attempts[:w.most(len(d.attempts))] {
			w.line(fmt.Sprintf("%s: stage %d of %d, %s left", address(a.Address), a.Stage, a.Stages, cli.Duration(a.Expires.Sub(w.Now))))
		}
		w.more(len(d.attempts) - w.most(len(d.attempts)))
	}
}

// opens says what a door does, and for how long.
func opens(d *control.Door) string {
	var parts []string
	for _, o := range d.Opens {
		parts = append(parts, cli.Printable(o))
	}
	if d.Commands {
		parts = append(parts, "by command")
	}
	if parts == nil {
		return "nothing"
	}
	text := strings.Join(parts, ", ")
	if d.Timeout > 0 {
		text += ", for " + cli.Duration(time.Duration(d.Timeout))
	}
	return text
}

// most is how many of a list are shown.
func (w *writer) most(n int) int {
	if w.All {
		return n
	}
	return min(n, few)
}

func (w *writer) more(n int) {
	if n > 0 {
		w.line(fmt.Sprintf("and %d more (--all)", n))
	}
}

// people writes who is in, of whom there are so many.
func (w *writer) people(list []control.Opening, current int) {
	for i := range list[:w.most(len(list))] {
		w.line(w.opening(&list[i]))
	}
	if !w.All { // else the others have come or gone since
		w.more(max(current, len(list)) - w.most(len(list)))
	}
}

func (w *writer) opening(o *control.Opening) string {
	text := w.Style.Bold(cli.Printable(o.For))
	if o.Address.String() != o.For {
		text += " for " + who(o.Address, o.Host)
	} else if o.Host != "" {
		text += " (" + cli.Printable(o.Host) + ")"
	}
	if o.What != "" {
		text += ", " + cli.Printable(o.What)
	}
	switch {
	case o.State != control.StateOpen:
		text += ": " + cli.Printable(o.State)
	case o.Left == nil:
		text += ": until it is closed by hand"
	default:
		text += ": " + cli.Duration(time.Duration(*o.Left)) + " left"
	}
	return text + ", by " + w.by(o.By, o.Client, o.UID)
}

// by says who opened a door.
func (p *Page) by(by, client string, uid *uint32) string {
	switch {
	case by == control.ByOperator && uid != nil && p.User != nil:
		return "hand of " + cli.Printable(p.User(*uid))
	case by == control.ByOperator && uid != nil:
		return fmt.Sprintf("hand of uid %d", *uid)
	case by == control.ByMessage:
		return "client " + cli.Printable(client)
	}
	return cli.Printable(by)
}

// gone writes who is in by doors that are no longer there, or of which nothing
// was said.
func (w *writer) gone(openings map[string][]control.Opening) {
	var names []string
	for name := range openings {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w.heading("door", name)
		w.field("currently open", fmt.Sprint(len(openings[name])))
		w.people(openings[name], 0)
	}
}
