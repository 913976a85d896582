// Command standalone runs the whole monitor in one process: `go run ./standalone`.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	_ "time/tzdata" // TZ works on machines without a zone database

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract/envfile"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
	"github.com/gensyn-monitor/gensyn-monitor/standalone/stack"
)

// The configurations of the services, under names that can stand side by side.
type (
	IngestConfig    = ingest.Config
	EvaluatorConfig = evaluator.Config
	NotifierConfig  = notifier.Config
	WebConfig       = web.Config
)

// config is the environment of all four services. They are embedded, so that envconfig adds no prefix.
type config struct {
	program.Logging
	DataDir    string `envconfig:"DATA_DIR" default:"./data" desc:"where everything is kept"`
	ListenAddr string `envconfig:"LISTEN_ADDR" default:":8080" desc:"address of the page, the API and the heartbeats"`
	IngestConfig
	EvaluatorConfig
	NotifierConfig
	WebConfig
	tracing.Exporting
}

// Check says what is not allowed.
func (c *config) Check() error {
	for _, part := range []interface{ Check() error }{c.IngestConfig, c.EvaluatorConfig, c.NotifierConfig, c.WebConfig} {
		if err := part.Check(); err != nil {
			return err
		}
	}
	return c.CheckExporting()
}

func main() {
	program.HalfTheCores(os.Getenv("GOMAXPROCS"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := loadDotEnv(); err != nil {
		_, _ = fmt.Fprintln(stderr, "standalone: .env:", err)
		return program.Misused
	}
	var cfg config
	return program.Program{
		Name:    "standalone",
		Summary: "the whole monitor in one process. Settings are read from the environment and from .env.",
		Config:  &cfg,
		Health:  func() string { return cfg.ListenAddr },
		Serve:   func(ctx context.Context, log zerolog.Logger) error { return serve(ctx, cfg, log, stdout) },
		Commands: []program.Command{
			notifier.CheckCommand("test-telegram"), importCommand(&cfg, stderr), access.HashCommand(os.Stdin, stderr),
		},
	}.Run(ctx, args, stdout, stderr)
}

// loadDotEnv puts what .env says into the environment, which wins where it says something already.
func loadDotEnv() error {
	data, err := os.ReadFile(".env")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	vars, err := envfile.Parse(data)
	if err != nil {
		return err
	}
	for name, value := range vars {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func serve(ctx context.Context, cfg config, log zerolog.Logger, stdout io.Writer) error {
	s, err := stack.New(ctx, stack.Options{
		DataDir: cfg.DataDir, ListenAddr: cfg.ListenAddr,
		Ingest: cfg.IngestConfig, Evaluator: cfg.EvaluatorConfig, Notifier: cfg.NotifierConfig, Web: cfg.WebConfig,
		Tracing: cfg.Exporting, Log: log,
	})
	if err != nil {
		return err
	}
	welcome(stdout, s, cfg)
	return s.Run(ctx)
}

// welcome says what a newcomer needs next. The secret is shown only when it was made here.
func welcome(w io.Writer, s *stack.Stack, cfg config) {
	made := s.MadeSecret() != ""
	secret := "'<your SHARED_SECRET>'"
	if made {
		secret = s.MadeSecret().Reveal()
	}
	local, public := pageURL(s.Addr()), cfg.WebConfig.PublicURL
	elsewhere := "(on another machine: this machine's public address instead of localhost)"
	if public != "" {
		elsewhere = "(on another machine: " + public + ")"
	}
	_, _ = fmt.Fprintf(w, `
Gensyn Monitor is running.

  Page:   %s
  Agent:  SERVER_URL=%s SHARED_SECRET=%s go run ./agent/cmd/gensyn-agent run
          %s
`, cmp.Or(public, local), local, secret, elsewhere)
	if made {
		_, _ = fmt.Fprintf(w, "  Secret: made and kept in %s; set SHARED_SECRET to use your own.\n",
			filepath.Join(cfg.DataDir, stack.SecretFile))
	}
	if !cfg.Tells() {
		_, _ = fmt.Fprint(w, `
  !! NO TELEGRAM: nobody is told when a node goes down. Set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID.
     Until then alerts are written to this log.
`)
	}
	_, _ = fmt.Fprintln(w)
}

// pageURL is an address that opens in a browser: a bind address such as 0.0.0.0 does not.
func pageURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
