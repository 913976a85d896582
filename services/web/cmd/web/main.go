// Command web shows the nodes as a page and as JSON.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
	"github.com/gensyn-monitor/gensyn-monitor/services/web/access"
)

func main() {
	program.HalfTheCores(os.Getenv("GOMAXPROCS"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var cfg web.ProcessConfig
	code := program.Program{
		Name:    "web",
		Summary: "shows the nodes as a page and as JSON.",
		Config:  &cfg,
		Health:  func() string { return cfg.MetricsAddr },
		Serve: func(ctx context.Context, log zerolog.Logger) error {
			return serve(ctx, cfg, log, func(ctx context.Context) (nodestore.Store, error) {
				return postgres.Open(ctx, cfg.DatabaseURL.Reveal(), postgres.Options{})
			})
		},
		Commands: []program.Command{importCommand(), access.HashCommand(os.Stdin, os.Stderr)},
	}.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
