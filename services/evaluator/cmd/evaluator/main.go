// Command evaluator folds the heartbeat stream into node states and events, kept in Postgres.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

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
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

const stopGrace = 4 * time.Second

func main() {
	program.HalfTheCores(os.Getenv("GOMAXPROCS"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var cfg evaluator.ProcessConfig
	code := program.Program{
		Name:    "evaluator",
		Summary: "folds heartbeats into node states and events, kept in Postgres.",
		Config:  &cfg,
		Health:  func() string { return cfg.MetricsAddr },
		Serve:   func(ctx context.Context, log zerolog.Logger) error { return serve(ctx, cfg, log) },
	}.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func serve(ctx context.Context, cfg evaluator.ProcessConfig, log zerolog.Logger) error {
	registry := telemetry.NewRegistry()
	var late nodestore.Late
	waiting := httpserver.NewHealth(httpserver.Check{Name: "database", Run: late.Why})
	ops, err := httpserver.NewSwitch(cfg.MetricsAddr, log)
	if err != nil {
		return err
	}
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	ops.Serve(httpserver.NewOps(waiting, figures))

	id := program.Instance("evaluator")
	nats, err := bus.Connect(bus.Options{
		URL: cfg.NATSURL, Name: id, CredsFile: cfg.NATSCreds,
		OnChange: program.ConnectionLog(log, "NATS"), OnError: program.ErrorLog(log, "NATS"),
	})
	if err != nil {
		return err
	}
	defer nats.Close()
	tracer, err := tracing.New(cfg.Exporting, tracing.Options{
		Service: "evaluator", Instance: id, Version: telemetry.Version(), Log: log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	defer tracer.Close()

	fold := func(ctx context.Context) error {
		store, err := program.Await(ctx, log, "the database", nodestore.Passing, late.Open(func(ctx context.Context) (nodestore.Store, error) {
			return postgres.Open(ctx, cfg.DatabaseURL.Reveal(), postgres.Options{})
		}))
		if err != nil {
			return err
		}
		defer store.Close()
		service, err := evaluator.New(evaluator.Options{
			ID: id, Stream: evaluator.FromBus(nats), Store: store, Settings: cfg.Settings(),
			Limits: bus.StreamLimits{Replicas: cfg.Replicas}, HistoryDays: cfg.HistoryDays, SamplesDays: cfg.SamplesDays, Log: log, Metrics: registry,
			Tracer: tracer,
		})
		if err != nil {
			return err
		}
		ops.Serve(httpserver.NewOps(httpserver.NewHealth(service.Checks()...), figures))
		return service.Run(ctx)
	}
	log.Info().Stringer("metrics", ops.Addr()).Str("version", telemetry.Version()).Msg("starting")
	return lifecycle.Run(ctx, stopGrace,
		lifecycle.Service{Name: "metrics", Run: ops.Run},
		lifecycle.Service{Name: "memory", Run: keepRoom},
		lifecycle.Service{Name: "introduction", Run: nats.Introduction("evaluator", id, telemetry.Version(), nil)},
		lifecycle.Service{Name: "fold", Run: fold},
	)
}
