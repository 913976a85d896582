// Package install makes the agent a service of the system that it runs on, and undoes that.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// System is the machine that is changed. Tests play it.
type System interface {
	ReadFile(name string) ([]byte, error)
	// WriteFile puts data in the place of a file, all of it or none. Missing directories are made.
	WriteFile(name string, data []byte, mode fs.FileMode) error
	Remove(name string) error // of a file or a directory with all in it; no error when there is none
	Glob(pattern string) []string
	// Run runs a program and returns what it printed. The error says it, too.
	Run(ctx context.Context, name string, args ...string) (string, error)
}

// Options say what to install, and where.
type Options struct {
	GOOS     string
	Root     bool              // the process may change the system
	Self     string            // the file of this program
	Settings string            // the settings file, "" for the system's usual one
	Task     bool              // Windows: a Task Scheduler entry rather than a service
	Purge    bool              // uninstall: settings and state go, too
	Env      map[string]string // settings of the environment, taken over when there is no settings file
	Names    []string          // of all settings
	Parse    func(file []byte) (map[string]string, error)
	Validate func(file map[string]string) error // of the settings
	ProgramData,
	ProgramFiles string // Windows
	// Ask asks whether old agents may be replaced.
	Ask func(question string) (bool, error)
	Out io.Writer // where to say what is done
}

// ErrDeclined means that the question was answered with no: nothing was changed.
var ErrDeclined = errors.New("nothing was changed")

// step is one change, with what to say of it.
type step struct {
	say string
	do  func(ctx context.Context, s System) error
}

// target is what a system needs.
type target interface {
	paths() paths
	// old finds what earlier agents left, for people, and how to end it.
	old(ctx context.Context, s System) ([]string, []step)
	// oldSettings are those that lie in what earlier agents left.
	oldSettings(s System) map[string]string
	install(p paths, settings map[string]string) []step
	// uninstall also puts back what install put aside.
	uninstall(ctx context.Context, s System, p paths) []step
	// ready reports why nothing can be installed here.
	ready(s System) error
}

// paths are where things lie.
type paths struct{ program, settings, state string }

func (o Options) target() (target, error) {
	switch o.GOOS {
	case "linux":
		return systemd{}, nil
	case "darwin":
		return launchd{}, nil
	case "windows":
		return windows{task: o.Task, data: o.ProgramData, programs: o.ProgramFiles}, nil
	}
	return nil, fmt.Errorf("this program cannot install itself on %s: start it with \"gensyn-agent run\"", o.GOOS)
}

func (o Options) begin(s System) (target, paths, error) {
	t, err := o.target()
	if err != nil {
		return nil, paths{}, err
	}
	if o.Task && o.GOOS != "windows" {
		return nil, paths{}, errors.New("--task is for Windows alone")
	}
	if !o.Root {
		return nil, paths{}, errors.New("this needs the rights of an administrator: sudo gensyn-agent …, on Windows a console that was opened as administrator")
	}
	if err := t.ready(s); err != nil {
		return nil, paths{}, err
	}
	p := t.paths()
	if o.Settings != "" {
		p.settings = o.Settings
	}
	return t, p, nil
}

// Install makes the agent a service that runs now and after every start of the machine. It takes over the settings of
// earlier agents and ends them, after asking. Done again, it brings everything up to date.
func Install(ctx context.Context, s System, o Options) error {
	t, p, err := o.begin(s)
	if err != nil {
		return err
	}
	settings, steps, err := o.settings(s, t, p)
	if err != nil {
		return err
	}
	found, end := t.old(ctx, s)
	if len(found) > 0 {
		yes, err := o.Ask(fmt.Sprintf("An earlier agent is installed here: %s. Replace it?", strings.Join(found, ", ")))
		if err != nil {
			return err
		}
		if !yes {
			return ErrDeclined
		}
	}
	if p.program != o.Self {
		steps = append(steps, copyProgram(o.Self, p.program))
	}
	// The old agent ends last but one, so that the node is silent for a moment only.
	steps = append(steps, end...)
	steps = append(steps, t.install(p, settings)...)
	return o.apply(ctx, s, steps)
}

// Uninstall ends and removes the service and the program.
func Uninstall(ctx context.Context, s System, o Options) error {
	t, p, err := o.begin(s)
	if err != nil {
		return err
	}
	steps := t.uninstall(ctx, s, p)
	if p.program != o.Self || o.GOOS != "windows" { // Windows does not delete a program that runs
		steps = append(steps, remove(p.program))
	}
	if o.Purge {
		steps = append(steps, remove(p.settings), remove(p.state))
	}
	if err := o.apply(ctx, s, steps); err != nil {
		return err
	}
	if !o.Purge {
		fmt.Fprintf(o.Out, "kept: %s and %s; uninstall --purge removes them, too\n", p.settings, p.state)
	}
	return nil
}

func (o Options) apply(ctx context.Context, s System, steps []step) error {
	for _, st := range steps {
		fmt.Fprintln(o.Out, st.say)
		if err := st.do(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", st.say, err)
		}
	}
	return nil
}

// settings are those that the agent will run with, and the steps that write their file.
func (o Options) settings(s System, t target, p paths) (map[string]string, []step, error) {
	data, err := s.ReadFile(p.settings)
	say := "protect " + p.settings
	if errors.Is(err, fs.ErrNotExist) {
		data, err = o.newSettings(t.oldSettings(s)), nil
		say = "write " + p.settings
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read settings: %w", err)
	}
	set, err := o.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.settings, err)
	}
	if more := o.missing(set, t.oldSettings(s)); len(more) > 0 {
		names := slices.Sorted(maps.Keys(more))
		say = fmt.Sprintf("add %s of the earlier agent to %s", strings.Join(names, ", "), p.settings)
		data = append(data, "\n# Of the unit of an earlier agent.\n"+lines(more)...)
		maps.Copy(set, more)
	}
	if err := o.Validate(set); err != nil {
		return nil, nil, fmt.Errorf("%w (write it into %s, or give it as NAME=VALUE in the environment of this command)", err, p.settings)
	}
	return set, []step{write(say, p.settings, data, 0o600)}, nil // it holds the secret
}

// missing are the settings of an earlier agent that a file lacks: without its NODE_ID a node would be another one. The
// file won over them, and still does.
func (o Options) missing(file, old map[string]string) map[string]string {
	more := o.known(old)
	maps.DeleteFunc(more, func(name, _ string) bool { _, ok := file[name]; return ok })
	return more
}

// known are the settings of this program among others, without empty ones. The names of proxies come in either case.
func (o Options) known(from map[string]string) map[string]string {
	set := make(map[string]string)
	for name, value := range from {
		if upper := strings.ToUpper(name); strings.HasSuffix(upper, "_PROXY") && from[upper] == "" {
			name = upper
		}
		if slices.Contains(o.Names, name) && value != "" {
			set[name] = value
		}
	}
	return set
}

// newSettings makes a settings file of what the environment and earlier agents have.
func (o Options) newSettings(old map[string]string) []byte {
	set := make(map[string]string)
	for _, from := range []map[string]string{o.Env, old} {
		maps.Copy(set, o.known(from))
	}
	var b strings.Builder
	b.WriteString("# Settings of gensyn-agent; gensyn-agent --help lists all of them.\n")
	b.WriteString(lines(set))
	return []byte(b.String())
}

// lines are settings as a file holds them.
func lines(set map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s=%s\n", name, quote(set[name]))
	}
	return b.String()
}

// quote writes a value so that shells, systemd and this program read the same.
func quote(value string) string {
	if !strings.ContainsAny(value, " \t#\"'\\$`;&|<>()") {
		return value
	}
	if !strings.Contains(value, "'") {
		return "'" + value + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(value) + `"`
}

func write(say, name string, data []byte, mode fs.FileMode) step {
	return step{say, func(_ context.Context, s System) error { return s.WriteFile(name, data, mode) }}
}

func remove(name string) step {
	return step{"remove " + name, func(_ context.Context, s System) error { return s.Remove(name) }}
}

func copyProgram(from, to string) step {
	return step{"copy this program to " + to, func(_ context.Context, s System) error {
		data, err := s.ReadFile(from)
		if err != nil {
			return err
		}
		return s.WriteFile(to, data, 0o755)
	}}
}

func run(name string, args ...string) step {
	return step{"run " + commandLine(name, args), func(ctx context.Context, s System) error {
		_, err := s.Run(ctx, name, args...)
		return err
	}}
}

// try is run for what may fail: something that is not there need not be ended.
func try(name string, args ...string) step {
	return step{"run " + commandLine(name, args), func(ctx context.Context, s System) error {
		_, _ = s.Run(ctx, name, args...)
		return ctx.Err()
	}}
}

func commandLine(name string, args []string) string {
	words := []string{name}
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \"") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
