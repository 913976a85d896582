// Command notifier tells people of node events through Telegram.
package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // TZ must work on machines without zone files

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/lifecycle"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
)

const stopGrace = 4 * time.Second

func main() {
	program.HalfTheCores(os.Getenv("GOMAXPROCS"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var cfg notifier.ProcessConfig
	code := program.Program{
		Name:     "notifier",
		Summary:  "tells people of node events through Telegram.",
		Config:   &cfg,
		Health:   func() string { return cfg.MetricsAddr },
		Serve:    func(ctx context.Context, log zerolog.Logger) error { return serve(ctx, cfg, log) },
		Commands: []program.Command{notifier.CheckCommand("test")},
	}.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// serve wires the service and runs it until ctx ends. Metrics and readiness answer from the start, while the
// database is still waited for.
func serve(ctx context.Context, cfg notifier.ProcessConfig, log zerolog.Logger) error {
	registry := telemetry.NewRegistry()
	ops, err := httpserver.NewSwitch(cfg.MetricsAddr, log)
	if err != nil {
		return err
	}
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	var late nodestore.Late // readiness until the database was there once
	ops.Serve(httpserver.NewOps(httpserver.NewHealth(httpserver.Check{Name: "database", Run: late.Why}), figures))

	options := notifier.Options{ID: program.Instance("notifier"), Metrics: registry, Timing: pace()}
	options.Tracer, err = tracing.New(cfg.Exporting, tracing.Options{
		Service: "notifier", Instance: options.ID, Version: telemetry.Version(), Log: log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	defer options.Tracer.Close()
	closeSender, err := cfg.Apply(&options, log)
	if err != nil {
		return err
	}
	defer closeSender()
	nats, err := bus.Connect(bus.Options{
		URL: cfg.NATSURL, Name: options.ID, CredsFile: cfg.NATSCreds,
		OnChange: program.ConnectionLog(log, "NATS"), OnError: program.ErrorLog(log, "NATS"),
	})
	if err != nil {
		return err
	}
	defer nats.Close()

	tell := func(ctx context.Context) error {
		return tell(ctx, cfg, options, nats, &late, func(s *notifier.Service) { show(ops, figures, s) })
	}
	log.Info().Stringer("metrics", ops.Addr()).Str("version", telemetry.Version()).Strs("chats", options.Chats).
		Msg("starting")
	return lifecycle.Run(ctx, stopGrace,
		lifecycle.Service{Name: "metrics", Run: ops.Run},
		lifecycle.Service{Name: "introduction", Run: nats.Introduction("notifier", options.ID, telemetry.Version(), nil)},
		lifecycle.Service{Name: "tell", Run: tell},
	)
}

// show makes readiness the service's own.
func show(ops *httpserver.Switch, figures http.Handler, s *notifier.Service) {
	ops.Serve(httpserver.NewOps(httpserver.NewHealth(s.Checks()...), figures))
}

// tell waits for the database and runs the service on it.
func tell(ctx context.Context, cfg notifier.ProcessConfig, o notifier.Options, nats *bus.Bus, late *nodestore.Late, started func(*notifier.Service)) error {
	store, err := program.Await(ctx, o.Log, "the database", nodestore.Passing, late.Open(func(ctx context.Context) (nodestore.Store, error) {
		return postgres.Open(ctx, cfg.DatabaseURL.Reveal(), postgres.Options{})
	}))
	if err != nil {
		return err
	}
	defer store.Close()
	o.Store, o.BotStore = store, store
	service, err := notifier.New(o)
	if err != nil {
		return err
	}
	// Without NATS nothing is lost: the service looks into the database by itself.
	unsubscribe, err := nats.OnNews(service.Wake, func() time.Duration { return notifier.WakeAgain })
	if err != nil {
		return err
	}
	defer unsubscribe()
	started(service)
	return service.Run(ctx)
}
