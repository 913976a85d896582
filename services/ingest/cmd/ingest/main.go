// Command ingest takes heartbeats over HTTP and stores them in NATS JetStream.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/kelseyhightower/envconfig"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	succeeded = 0
	failed    = 1
	misused   = 2 // wrong flags or settings
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("ingest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.Usage = func() {}
	version := flags.Bool("version", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return status(stderr, usage(stdout), misused)
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("%q is not understood; see --help", flags.Arg(0))
	case err == nil && *version:
		_, err = fmt.Fprintln(stdout, telemetry.Version())
		return status(stderr, err, failed)
	}
	if err != nil {
		return status(stderr, err, misused)
	}
	var cfg ingest.ProcessConfig
	if err := settings.Load(&cfg); err != nil {
		return status(stderr, err, misused)
	}
	log, err := telemetry.NewLogger(stderr, "ingest", cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return status(stderr, err, misused)
	}
	if err := serve(ctx, cfg, log); err != nil {
		log.Error().Err(err).Msg("ingest failed")
		return failed
	}
	log.Info().Msg("stopped")
	return succeeded
}

// status says what went wrong in one line.
func status(stderr io.Writer, err error, code int) int {
	if err == nil {
		return succeeded
	}
	_, _ = fmt.Fprintln(stderr, "ingest:", err)
	return code
}

func usage(w io.Writer) error {
	const format = `ingest takes heartbeats over HTTP and stores them in NATS JetStream.

Usage: ingest [--help] [--version]

Environment (each NAME also as NAME_FILE, a path to the value):
  NAME	DEFAULT	MEANING
{{range .}}  {{usage_key .}}	{{usage_default .}}	{{usage_description .}}
{{end}}`
	tabs := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if err := envconfig.Usagef("", &ingest.ProcessConfig{}, tabs, format); err != nil {
		return err
	}
	return tabs.Flush()
}
