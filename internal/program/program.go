// Package program is the frame of a command: flags, help, settings, log, exit status.
package program

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

// Exit statuses.
const (
	Succeeded = 0
	Failed    = 1
	Misused   = 2 // wrong flags or settings
)

// Logging is what the environment says of the log. Every configuration embeds it.
type Logging struct {
	LogLevel  string `envconfig:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	LogFormat string `envconfig:"LOG_FORMAT" desc:"json or console; console on a terminal, else json"`
}

// Logger makes the log of a service.
func (l Logging) Logger(w io.Writer, service string) (zerolog.Logger, error) {
	return telemetry.NewLogger(w, service, l.LogLevel, l.LogFormat)
}

// Draining is what the environment says of stopping behind a proxy. Configurations of servers embed it.
type Draining struct {
	DrainSec int `envconfig:"DRAIN_SEC" default:"0" allowed:"a number of seconds, at most 60" desc:"for so many seconds after being told to stop it serves on, not ready any more, so that proxies notice"`
}

// Linger is that time.
func (d Draining) Linger() time.Duration { return time.Duration(d.DrainSec) * time.Second }

// CheckDraining says what is not allowed.
func (d Draining) CheckDraining() error {
	if d.DrainSec < 0 || d.DrainSec > 60 {
		return settings.Invalid("DRAIN_SEC", d.DrainSec, "a number of seconds, at most 60")
	}
	return nil
}

// Config is a configuration, by pointer.
type Config interface {
	Logger(w io.Writer, service string) (zerolog.Logger, error)
}

// Program is a command that serves until it is told to stop.
type Program struct {
	Name    string
	Summary string // one sentence
	Config  Config // a pointer to a struct with envconfig tags, filled before Serve
	Serve   func(ctx context.Context, log zerolog.Logger) error

	Commands []Command // what it can do besides serving

	// Health returns the address that serves /readyz, once Config is filled. With it the program has the command
	// healthcheck, which asks there. May be nil.
	Health func() string
}

// Command is something that a program does once, when it is called with its name.
type Command struct {
	Name    string
	Summary string // what it does, and when it succeeds
	Config  any    // a pointer to a struct with envconfig tags, filled before Run
	// Parse takes what follows the name, which Operands shows in the usage. Without it nothing may follow.
	Parse    func(args []string) error
	Operands string
	// Run writes what people are to know to out. Its error makes the program fail.
	Run func(ctx context.Context, out io.Writer) error
}

// Run reads flags and settings, serves until ctx ends, and returns the exit status.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.Usage = func() {}
	version := flags.Bool("version", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.status(stderr, p.usage(stdout), Failed)
	case err != nil:
		return p.status(stderr, err, Misused)
	case flags.NArg() > 0:
		for _, c := range p.commands() {
			if flags.Arg(0) == c.Name && (c.Parse != nil || flags.NArg() == 1) {
				return p.once(ctx, c, flags.Args()[1:], stdout, stderr)
			}
		}
		return p.status(stderr, fmt.Errorf("%q is not understood; see --help", flags.Arg(0)), Misused)
	case *version:
		_, err = fmt.Fprintln(stdout, telemetry.Version())
		return p.status(stderr, err, Failed)
	}
	if err := settings.Load(p.Config); err != nil {
		return p.status(stderr, err, Misused)
	}
	log, err := p.Config.Logger(stderr, p.Name)
	if err != nil {
		return p.status(stderr, err, Misused)
	}
	if err := p.Serve(ctx, log); err != nil {
		log.Error().Err(err).Msg(p.Name + " failed")
		return Failed
	}
	log.Info().Msg("stopped")
	return Succeeded
}

// once runs a command.
func (p Program) once(ctx context.Context, c Command, args []string, stdout, stderr io.Writer) int {
	if c.Parse != nil {
		if err := c.Parse(args); err != nil {
			return p.status(stderr, fmt.Errorf("%s: %w", c.Name, err), Misused)
		}
	}
	if err := settings.Load(c.Config); err != nil {
		return p.status(stderr, err, Misused)
	}
	return p.status(stderr, c.Run(ctx, stdout), Failed)
}

// status says what went wrong in one line.
func (p Program) status(stderr io.Writer, err error, code int) int {
	if err == nil {
		return Succeeded
	}
	_, _ = fmt.Fprintln(stderr, p.Name+":", err)
	return code
}

func (p Program) usage(w io.Writer) error {
	format := p.Name + ": " + p.Summary + `

Usage: ` + p.Name + ` [--help] [--version]` + p.commandLines() + `

Environment (each NAME also as NAME_FILE, a path to the value):
  NAME	DEFAULT	MEANING
{{range .}}  {{usage_key .}}	{{if usage_required .}}(required){{else}}{{usage_default .}}{{end}}	{{usage_description .}}
{{end}}`
	var table strings.Builder
	if err := envconfig.Usagef("", p.Config, &table, format); err != nil {
		return err
	}
	tabs := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	// Several parts of a program may read the same variable.
	seen := make(map[string]bool)
	for line := range strings.Lines(table.String()) {
		name, _, row := strings.Cut(line, "\t")
		if row && seen[name] {
			continue
		}
		seen[name] = true
		if _, err := io.WriteString(tabs, line); err != nil {
			return err
		}
	}
	return tabs.Flush()
}

// commands are those of the program and those that every program has.
func (p Program) commands() []Command {
	if p.Health == nil {
		return p.Commands
	}
	return append(slices.Clone(p.Commands), p.healthcheck())
}

// commandLines are lines about the commands, for the usage.
func (p Program) commandLines() string {
	var b strings.Builder
	for _, c := range p.commands() {
		fmt.Fprintf(&b, "\n       %s\t%s", strings.TrimSpace(p.Name+" "+c.Name+" "+c.Operands), c.Summary)
	}
	return b.String()
}

// Instance names a process: its host, and something that no other process on it has.
func Instance(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = service
	}
	return host + "-" + rand.Text()[:6]
}

// ErrorLog returns a function that logs what goes wrong with the named server while it is there.
func ErrorLog(log zerolog.Logger, what string) func(error) {
	return func(err error) { log.Warn().Err(err).Msg(what + " complains") }
}

// ConnectionLog says when the connection to something comes and goes.
func ConnectionLog(log zerolog.Logger, what string) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn().Err(err).Msg(what + " connection lost")
			return
		}
		log.Info().Msg(what + " connected")
	}
}

// Await repeats open until it succeeds, and says once why it has to wait. It gives up when ctx ends, with its error,
// and when open fails in a way that passes calls no passing trouble.
func Await[T any](ctx context.Context, log zerolog.Logger, what string, passes func(error) bool,
	open func(context.Context) (T, error),
) (T, error) {
	const pause = time.Second
	var said string
	for {
		v, err := open(ctx)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		if !passes(err) {
			return v, err
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn().Err(err).Msg("waiting for " + what)
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(pause):
		}
	}
}
