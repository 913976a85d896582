package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent"
	"github.com/gensyn-monitor/gensyn-monitor/agent/install"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract/envfile"
)

// check looks at everything the agent depends on.
func (p program) check(ctx context.Context, f flags) int {
	cfg, s, err := p.load(f.config)
	if err != nil {
		return p.misuse(err)
	}
	findings, err := agent.Check(ctx, cfg, p.machine(log.New(io.Discard, "", 0)))
	if err != nil && ctx.Err() == nil {
		return p.misuse(err)
	}
	findings = slices.Concat(settingsFindings(s), serviceFindings(cfg, install.Local{}), findings)
	code := succeeded
	for _, f := range findings {
		fmt.Fprintf(p.stdout, "%-7s %s: %s\n", f.Verdict, f.Probe, f.Saw)
		if f.Mend != "" && f.Verdict != probe.VerdictOK {
			fmt.Fprintf(p.stdout, "        → %s\n", f.Mend)
		}
		if f.Verdict == probe.VerdictFailed {
			code = failed
		}
	}
	return code
}

// settingsFindings say where settings come from and which of them nothing reads.
func settingsFindings(s source) []probe.Finding {
	out := []probe.Finding{{Probe: "settings", Saw: fmt.Sprintf("%s and the environment", s.name), Verdict: probe.VerdictOK}}
	if len(s.File) == 0 {
		out[0].Saw = fmt.Sprintf("the environment alone: there is nothing in %s", s.name)
	}
	for _, line := range agent.Unknown(s.File) {
		out = append(out, probe.Finding{
			Probe: "settings", Saw: line, Verdict: probe.VerdictFailed, Mend: "change or remove it in " + s.name,
		})
	}
	return out
}

// serviceFindings say when the service was installed for other settings than these.
func serviceFindings(c agent.Config, s install.System) []probe.Finding {
	if c.OnDown.Command == "" || !install.Caged(s) {
		return nil
	}
	return []probe.Finding{{
		Probe: "service", Verdict: probe.VerdictFailed, Mend: "run gensyn-agent install again",
		Saw: "it was installed without ON_DOWN_CMD, and is in a cage in which the command can change nothing",
	}}
}

// forget ends the reports of a node that is gone.
func (p program) forget(f flags) int {
	cfg, _, err := p.load(f.config)
	if err == nil {
		var forgotten error
		if forgotten, err = agent.Forget(cfg, p.machine(log.New(p.stderr, "", 0)), f.name); forgotten != nil {
			fmt.Fprintf(p.stderr, "gensyn-agent: %v\n", forgotten)
			return failed
		}
	}
	if err != nil {
		return p.misuse(err)
	}
	fmt.Fprintf(p.stdout, "%s is forgotten; a service that runs hears of it when it is restarted\n", f.name)
	return succeeded
}

// healthcheck is what containers ask, without a shell.
func (p program) healthcheck(f flags) int {
	cfg, _, err := p.load(f.config)
	if err != nil {
		return p.misuse(err)
	}
	if err := agent.Healthy(cfg, p.machine(log.New(p.stderr, "", 0)), time.Now()); err != nil {
		fmt.Fprintf(p.stderr, "gensyn-agent: %v\n", err)
		return failed
	}
	return succeeded
}

// errNoTerminal means that nobody is there to ask.
var errNoTerminal = errors.New("nobody answered: say --yes to go on without asking")

// install does and undoes an installation.
func (p program) install(ctx context.Context, f flags) int {
	o, err := p.options(f)
	if err == nil {
		var s install.System = install.Local{}
		if f.dryRun {
			s, o.Root = install.Dry{System: s, Out: p.stdout}, true
		}
		if f.command == "install" {
			err = install.Install(ctx, s, o)
		} else {
			err = install.Uninstall(ctx, s, o)
		}
	}
	if errors.Is(err, errSettings) {
		return p.misuse(err)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "gensyn-agent: %v\n", err)
		return failed
	}
	if f.command == "install" && !f.dryRun {
		fmt.Fprintln(p.stdout, `installed; "gensyn-agent check" says how it stands`)
	}
	return succeeded
}

// errSettings marks errors of settings.
var errSettings = errors.New("the settings are not complete")

func (p program) options(f flags) (install.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return install.Options{}, fmt.Errorf("find this program: %w", err)
	}
	if f.config != "" {
		// A service starts in a directory of its own.
		if f.config, err = filepath.Abs(f.config); err != nil {
			return install.Options{}, fmt.Errorf("--config: %w", err)
		}
	}
	var names []string
	for _, v := range agent.Variables() {
		names = append(names, v.Name)
	}
	return install.Options{
		GOOS: runtime.GOOS, Root: privileged(), Self: self, Settings: f.config, Task: f.task, Purge: f.purge,
		Env: p.env, Names: names, Parse: envfile.Parse, Out: p.stdout,
		ProgramData: p.env["ProgramData"], ProgramFiles: p.env["ProgramFiles"],
		Validate: func(file map[string]string) error {
			// What the service would read: the file alone. A service that cannot start is worse than none.
			c, err := agent.Load(agent.Source{File: file, Hostname: os.Hostname})
			if err == nil {
				_, err = probe.Open(c.Settings, probe.Host{})
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errSettings, err)
			}
			return nil
		},
		Ask: func(question string) (bool, error) {
			if f.yes || f.dryRun {
				return true, nil
			}
			fmt.Fprintf(p.stdout, "%s [y/N] ", question)
			answer, err := bufio.NewReader(p.stdin).ReadString('\n')
			if err != nil {
				return false, errNoTerminal
			}
			answer = strings.ToLower(strings.TrimSpace(answer))
			return answer == "y" || answer == "yes", nil
		},
	}, nil
}
