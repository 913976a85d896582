// Command gensyn-agent watches the nodes of one machine and reports them to a Gensyn Monitor.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/gensyn-monitor/gensyn-monitor/agent"
	"github.com/gensyn-monitor/gensyn-monitor/contract/envfile"
)

// Exit statuses.
const (
	succeeded = 0
	failed    = 1
	misused   = 2 // wrong arguments or settings
)

// version is set by the linker for releases.
var version = ""

func main() {
	// An agent does little: more threads and a larger heap would only cost memory.
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	debug.SetGCPercent(20)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{args: os.Args[1:], env: environment(os.Environ()), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	code := p.run(ctx)
	stop()
	os.Exit(code)
}

// program is one call of the command.
type program struct {
	args           []string
	env            map[string]string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// flags are all that may stand before or after a command.
type flags struct {
	*flag.FlagSet
	command, name                         string // name: forget's argument
	config, log                           string
	yes, dryRun, task, purge, showVersion bool
	service                               bool // started by the service manager of Windows
}

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context) int {
	f, err := parse(p.args)
	if errors.Is(err, flag.ErrHelp) {
		p.help(f.command)
		return succeeded
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "gensyn-agent: %v; see --help\n", err)
		return misused
	}
	switch f.command {
	case "help":
		p.help(f.name)
	case "version":
		fmt.Fprintln(p.stdout, buildVersion())
	case "check":
		return p.check(ctx, f)
	case "forget":
		return p.forget(f)
	case "healthcheck":
		return p.healthcheck(f)
	case "install", "uninstall":
		return p.install(ctx, f)
	default:
		if !f.service {
			return p.report(ctx, f)
		}
		code, err := asService(ctx, func(ctx context.Context) int { return p.report(ctx, f) })
		if err != nil {
			fmt.Fprintf(p.stderr, "gensyn-agent: %v\n", err)
		}
		return code
	}
	return succeeded
}

// parse reads the arguments: a command, "run" when there is none, and flags before or after it.
func parse(args []string) (flags, error) {
	f := flags{FlagSet: flag.NewFlagSet("gensyn-agent", flag.ContinueOnError)}
	f.SetOutput(io.Discard) // the error says it all
	f.StringVar(&f.config, "config", "", "")
	f.StringVar(&f.log, "log", "", "")
	f.BoolVar(&f.showVersion, "version", false, "")
	f.BoolVar(&f.yes, "yes", false, "")
	f.BoolVar(&f.dryRun, "dry-run", false, "")
	f.BoolVar(&f.task, "task", false, "")
	f.BoolVar(&f.purge, "purge", false, "")
	f.BoolVar(&f.service, "service", false, "")
	var words []string
	for rest := args; ; rest = f.Args()[1:] {
		err := f.Parse(rest)
		if len(words) > 0 {
			f.command = words[0]
		}
		if err != nil {
			return f, err
		}
		if f.NArg() == 0 {
			break
		}
		words = append(words, f.Arg(0))
	}
	return f, f.understand(words)
}

// understand takes the words that are no flags.
func (f *flags) understand(words []string) error {
	if f.showVersion && len(words) == 0 {
		words = []string{"version"}
	}
	if len(words) == 0 {
		words = []string{"run"}
	}
	f.command = words[0]
	c := commandNamed(f.command)
	if c == nil {
		return fmt.Errorf("%q is not understood", f.command)
	}
	if len(words) > 1 {
		f.name, words = words[1], words[1:]
	}
	if f.name != "" && c.argument == "" || len(words) > 1 {
		return fmt.Errorf("%q is not understood", words[len(words)-1])
	}
	if f.name == "" && c.required {
		return fmt.Errorf("%s needs %s", c.name, c.argument)
	}
	var err error
	f.Visit(func(set *flag.Flag) {
		if err == nil && !strings.Contains(" version "+c.flags+" ", " "+set.Name+" ") {
			err = fmt.Errorf("--%s is not for %s", set.Name, c.name)
		}
	})
	return err
}

// report runs the agent.
func (p program) report(ctx context.Context, f flags) int {
	// The start of a program touches much of it that is not used again.
	agent.Rest()
	cfg, s, err := p.load(f.config)
	if err != nil {
		return p.misuse(err)
	}
	out := p.stderr
	if f.log != "" {
		file := &logFile{name: f.log}
		defer file.Close()
		out = file
	}
	logger := log.New(out, "", log.LstdFlags)
	for _, line := range agent.Unknown(s.File) {
		logger.Printf("%s: %s", s.name, line)
	}
	m := p.machine(logger)
	m.Once = f.command == "once"
	a, release, err := agent.Local(cfg, m)
	if err != nil {
		return p.misuse(err)
	}
	defer release()
	if f.command == "once" {
		if a.Once(ctx) != nil {
			return failed
		}
		return succeeded
	}
	logger.Printf("gensyn-agent %s reports %s to %s every %v", buildVersion(), cfg.NodeID, strings.Join(cfg.Servers, ", "), cfg.Interval)
	a.Run(ctx)
	logger.Print("stopped")
	return succeeded
}

// misuse says why settings are not allowed.
func (p program) misuse(err error) int {
	fmt.Fprintf(p.stderr, "gensyn-agent: %v\n", err)
	return misused
}

// machine is this one.
func (p program) machine(logger *log.Logger) agent.Machine {
	environ := make([]string, 0, len(p.env))
	for name, value := range p.env {
		// What the command starts need not know the token.
		if name != "SHARED_SECRET" {
			environ = append(environ, name+"="+value)
		}
	}
	return agent.Machine{
		Version: buildVersion(), Log: logger, Environ: environ,
		StateDirs: agent.StateDirs(runtime.GOOS, os.Geteuid() == 0, func(name string) string { return p.env[name] }),
	}
}

// source is where settings come from, with the name of the file.
type source struct {
	agent.Source
	name string
}

// load reads the settings. A file that was asked for must be there; the default one may be missing.
func (p program) load(file string) (agent.Config, source, error) {
	file = cmp.Or(file, p.env["AGENT_ENV_FILE"])
	asked := file != ""
	file = cmp.Or(file, defaultFile(p.env))
	s := source{agent.Source{Environment: p.env, Hostname: os.Hostname}, file}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return agent.Config{}, s, fmt.Errorf("read settings: %w: it holds the token, so do this as root", err)
	}
	if err != nil && (asked || !errors.Is(err, fs.ErrNotExist)) {
		return agent.Config{}, s, fmt.Errorf("read settings: %w", err)
	}
	if s.File, err = envfile.Parse(data); err != nil {
		return agent.Config{}, s, fmt.Errorf("%s: %w", file, err)
	}
	c, err := agent.Load(s.Source)
	return c, s, err
}

// defaultFile is where the settings lie on this system.
func defaultFile(env map[string]string) string {
	if data := env["ProgramData"]; runtime.GOOS == "windows" && data != "" {
		return data + `\gensyn-agent\gensyn-agent.env`
	}
	return agent.DefaultFile
}

func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// buildVersion is the release, or the commit it was built from, or "dev".
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "dev"
}
