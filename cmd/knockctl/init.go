package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"knockd/internal/action"
	"knockd/internal/check"
	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/config"
	"knockd/internal/firewall"
	"knockd/internal/setup"
)

const initUsage = "knockctl init [OPTIONS]"

// stdoutName stands for standard output.
const stdoutName = "-"

// initOptions are those of the init command.
type initOptions struct {
	setup.Ask
	mode   string
	output string
	card   string
}

// initHost sets up a door for a host that has none, or one more.
func initHost(ctx context.Context, w *world, args []string) error {
	o, err := parseInit(w, args)
	if err != nil {
		return err
	}
	before, err := o.before()
	if err != nil {
		return err
	}
	host, err := setup.Look(ctx, setup.Runner(w.run), o.Port, firewall.Options(before, nil))
	if errors.Is(err, setup.ErrUnknown) && o.Mode != "" {
		w.speaker().Warn(err.Error(), "")
	} else if errors.Is(err, setup.ErrUnknown) && !errors.Is(err, fs.ErrPermission) {
		return cli.WithHint(err, fmt.Sprintf("say --mode guard if it lets tcp/%d in, --mode mark if it drops it", o.Port))
	} else if err != nil {
		return err
	}
	plan, err := setup.Propose(host, o.Ask, before, rand.Reader)
	if err != nil {
		return err
	}
	if !host.Listens(o.Port) {
		w.speaker().Warn(fmt.Sprintf("nothing listens on tcp/%d", o.Port), "name the service's port: knockctl init --port PORT")
	}
	if names := plan.Overridden(before); names != nil {
		w.speaker().Warn(fmt.Sprintf("the commands of %s open nothing behind the guard of tcp/%d: who knocks there has to knock at [%s]",
			strings.Join(names, ", "), o.Port, o.Name), "")
	}
	return o.carryOut(w, plan)
}

// doorName is a name that may stand in a section, the name of a file and the
// words of a shell.
var doorName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func parseInit(w *world, args []string) (*initOptions, error) {
	o := &initOptions{}
	f := pflag.NewFlagSet("init", pflag.ContinueOnError)
	f.StringVarP(&o.File, "config", "c", "/etc/knockd.conf", "the configuration to write; if it is there, a drop-in in `FILE`.d")
	f.Uint16Var(&o.Port, "port", 22, "the TCP `port` that the door opens")
	f.StringVar(&o.Name, "name", "ssh", "the door's `name`")
	f.StringVar(&o.Server, "server", "", "the `name` or address by which knockers reach this host (default: the address of the default route)")
	f.StringVar(&o.Rescue, "rescue", "", "these `networks` need no knock: a second way in")
	f.StringVar(&o.mode, "mode", "", "`guard` or mark, in place of what suits the firewall")
	f.StringVar(&o.output, "output", "", "write to this `FILE`, with - to standard output, and nothing else")
	f.StringVar(&o.card, "card", "", "write a rescue card for paper, FILE.svg or FILE.txt, to this `FILE`")
	words, err := parse(w, f, initUsage, args)
	if err != nil {
		return nil, err
	}
	o.Mode = config.NftMode(o.mode)
	ext := filepath.Ext(o.card)
	switch {
	case len(words) > 0:
		return nil, cli.Usagef(initUsage, "%q: one word too many", words[0])
	case o.Port == 0:
		return nil, cli.Usagef(initUsage, "--port: must be between 1 and 65535")
	case !doorName.MatchString(o.Name) || strings.EqualFold(o.Name, "options"):
		return nil, cli.Usagef(initUsage, "--name: must be of letters, digits and ._-, and not options")
	case o.Mode != "" && o.Mode != config.NftGuard && o.Mode != config.NftMark:
		return nil, cli.Usagef(initUsage, "--mode %s: must be guard or mark", o.mode)
	case o.card != "" && ext != ".svg" && ext != ".txt":
		return nil, cli.Usagef(initUsage, "--card: must end in .svg or .txt")
	case o.Server != "":
		if err := client.CheckHost(o.Server); err != nil {
			return nil, cli.Usage(fmt.Errorf("--server: %w", err), initUsage)
		}
		if !setup.IsHostName(o.Server) {
			return nil, cli.Usagef(initUsage, "--server: must be a name or an address that a shell takes as it is")
		}
	}
	return o, nil
}

// before reads the configuration that there is, and finds out whether there is
// one.
func (o *initOptions) before() (*config.Config, error) {
	_, err := os.Lstat(o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return config.Parse(o.File, nil)
	case err != nil:
		return nil, err
	}
	o.Exists = true
	before, err := config.Load(o.File)
	if err != nil {
		return nil, cli.WithHint(err, "nothing is added to a faulty configuration: correct it, then say knockctl init again")
	}
	return before, nil
}

// carryOut writes what was planned and says so. What was written is taken away
// again if not all of it can be, or if it turns out faulty.
func (o *initOptions) carryOut(w *world, plan *setup.Plan) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				os.Remove(name)
			}
		}
	}()
	put := func(name, text string) error {
		err := writeNew(name, text)
		if err == nil {
			written = append(written, name)
		}
		return err
	}
	if o.card != "" {
		text, err := plan.CardText(), error(nil)
		if filepath.Ext(o.card) == ".svg" {
			text, err = plan.CardSVG()
		}
		if err != nil {
			return err
		}
		if err := put(o.card, text); err != nil {
			return err
		}
	}
	out, others := w.stdout, -1
	var path string
	switch o.output {
	case stdoutName:
		out = w.stderr
		if _, err := fmt.Fprint(w.stdout, plan.Text); err != nil {
			return err
		}
		path = "nothing is written; for " + plan.Path + ", mode 0600"
	case "":
		if plan.Exists {
			if err := os.Mkdir(filepath.Dir(plan.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		if err := put(plan.Path, plan.Text); err != nil {
			return err
		}
		if others, err = o.check(plan); err != nil {
			return err
		}
		path = "wrote " + plan.Path + ", mode 0600"
	default:
		if err := put(o.output, plan.Text); err != nil {
			return err
		}
		path = "wrote " + o.output + ", mode 0600, for " + plan.Path
	}
	fmt.Fprint(out, plan.Report(path, others))
	if o.card != "" {
		fmt.Fprintf(out, "the rescue card is %s, mode 0600; it is secret: print it, then delete it\n", o.card)
	}
	fmt.Fprintf(out, "\nnext: %s\n\n%s", o.next(), plan.Client())
	return nil
}

// check looks at the configuration as knockd -t does, and returns how much there
// is to say beside what the plan says itself.
func (o *initOptions) check(plan *setup.Plan) (others int, err error) {
	after, err := config.LoadWith(o.File, config.Extras{Advice: true})
	if err != nil {
		return 0, fmt.Errorf("the configuration would be faulty: %w", err)
	}
	file, err := filepath.Abs(o.File)
	if err != nil {
		return 0, err
	}
	report, err := check.Setup{Conf: after, ConfigFile: file, Actions: action.Stopped()}.Daemon()
	if err != nil {
		return 0, fmt.Errorf("the daemon would not start: %w", err)
	}
	all := after.Warnings
	for _, f := range report.Findings {
		all = append(all, f.Text)
	}
	for _, text := range all {
		if strings.HasPrefix(text, plan.Path+":") {
			return 0, fmt.Errorf("the door does not fit: %s", text)
		}
		if !plan.Says(text) {
			others++
		}
	}
	return others, nil
}

// next returns the command that puts the configuration to the test.
func (o *initOptions) next() string {
	if o.File != "/etc/knockd.conf" {
		return "knockctl trial 5m -c " + o.File
	}
	return "knockctl trial 5m"
}
