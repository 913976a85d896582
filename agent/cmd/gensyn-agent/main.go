// Command gensyn-agent watches one node and reports it to a Gensyn Monitor.
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
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"

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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], environment(os.Environ()), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what the arguments say and returns the exit status.
func run(ctx context.Context, args []string, env map[string]string, stdout, stderr io.Writer) int {
	command, file, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		command, err = "help", nil
	}
	if err == nil {
		switch command {
		case "help":
			help(stdout)
			return succeeded
		case "version":
			fmt.Fprintln(stdout, buildVersion())
			return succeeded
		case "run", "once":
			return report(ctx, command, file, env, stderr)
		}
		err = fmt.Errorf("%q is not understood", command)
	}
	fmt.Fprintf(stderr, "gensyn-agent: %v; see --help\n", err)
	return misused
}

// parse reads the arguments: a command, and --config before or after it.
func parse(args []string) (command, file string, err error) {
	flags := flag.NewFlagSet("gensyn-agent", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.StringVar(&file, "config", "", "")
	show := flags.Bool("version", false, "")
	for rest := args; ; rest = flags.Args()[1:] {
		if err := flags.Parse(rest); err != nil {
			return "", "", err
		}
		switch {
		case flags.NArg() == 0 && *show:
			return "version", file, nil
		case flags.NArg() == 0 && command == "":
			return "", "", errors.New("a command is missing: run, once or version")
		case flags.NArg() == 0:
			return command, file, nil
		case command != "":
			return "", "", fmt.Errorf("%q is not understood", flags.Arg(0))
		}
		command = flags.Arg(0)
	}
}

// report runs the agent.
func report(ctx context.Context, command, file string, env map[string]string, stderr io.Writer) int {
	cfg, err := load(file, env)
	if err != nil {
		fmt.Fprintf(stderr, "gensyn-agent: %v\n", err)
		return misused
	}
	logger := log.New(stderr, "", log.LstdFlags)
	a, release := agent.Local(cfg, buildVersion(), logger)
	defer release()
	if command == "once" {
		if a.Once(ctx) != nil {
			return failed
		}
		return succeeded
	}
	logger.Printf("gensyn-agent %s reports %s to %s every %v", buildVersion(), cfg.NodeID, cfg.ServerURL, cfg.Interval)
	a.Run(ctx)
	logger.Print("stopped")
	return succeeded
}

// load reads the settings. A file that was asked for must be there; the default one may be missing.
func load(file string, env map[string]string) (agent.Config, error) {
	file = cmp.Or(file, env["AGENT_ENV_FILE"])
	asked := file != ""
	file = cmp.Or(file, agent.DefaultFile)
	data, err := os.ReadFile(file)
	if err != nil && (asked || !errors.Is(err, fs.ErrNotExist)) {
		return agent.Config{}, fmt.Errorf("read settings: %w", err)
	}
	settings, err := envfile.Parse(data)
	if err != nil {
		return agent.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return agent.Load(env, settings, os.Hostname)
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

func help(w io.Writer) {
	fmt.Fprintf(w, `gensyn-agent: watches one node and reports it to a Gensyn Monitor.

Usage: gensyn-agent [--config FILE] run | once | version

  run      report every INTERVAL_SEC until told to stop
  once     report one time, for timers: exit status 0 when the monitor accepted it, 1 when not
  version  print the version

A node is UP when its screen session, its process and its port are there.
Settings come from the environment and from %s, which wins
(AGENT_ENV_FILE or --config names another file):

`, agent.DefaultFile)
	tabs := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(tabs, "  NAME\tDEFAULT\tMEANING\n")
	for _, v := range agent.Variables {
		value := v.Default
		if value == "" && v.Name != "META" {
			value = "(required)"
		}
		fmt.Fprintf(tabs, "  %s\t%s\t%s\n", v.Name, value, v.Meaning)
	}
	tabs.Flush()
}
