package main

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/lifecycle"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
)

const (
	partition   = 0
	stopGrace   = 5 * time.Second
	streamRetry = time.Second
	streamAgain = 30 * time.Second
	callLimit   = 5 * time.Second
)

// serve wires the service and runs it until ctx ends. Stopping goes in reverse: no new requests, those at hand are
// answered, then the publisher and the connection end.
func serve(ctx context.Context, cfg ingest.ProcessConfig, log zerolog.Logger) error {
	for _, w := range cfg.Warnings() {
		log.Warn().Msg(w)
	}
	id := program.Instance("ingest")
	nats, err := bus.Connect(bus.Options{
		URL: cfg.NATSURL, Name: id, CredsFile: cfg.NATSCreds,
		OnChange: program.ConnectionLog(log, "NATS"), OnError: program.ErrorLog(log, "NATS"),
	})
	if err != nil {
		return err
	}
	defer nats.Close()

	registry := telemetry.NewRegistry()
	tracer, err := tracing.New(cfg.Exporting, tracing.Options{
		Service: "ingest", Instance: id, Version: telemetry.Version(), Log: log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	defer tracer.Close()
	service, err := ingest.New(ingest.Options{
		ID: id, Secret: cfg.SharedSecret, Partition: partition, Bus: nats, Tokens: nats,
		TrustedProxies: cfg.TrustedProxies, Log: log, Metrics: registry, Tracer: tracer,
	})
	if err != nil {
		return err
	}
	health := httpserver.NewHealth(service.Checks()...)
	server, err := httpserver.Over(cfg.ListenAddr, service.Front(others(health, service), health.Stopping), log)
	if err != nil {
		return err
	}
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	ops, err := httpserver.New(cfg.MetricsAddr, httpserver.NewOps(health, figures), log)
	if err != nil {
		return err
	}
	if err := service.SetSelf(server.Addr().String()); err != nil {
		return err
	}
	log.Info().Stringer("addr", server.Addr()).Stringer("metrics", ops.Addr()).Str("version", telemetry.Version()).
		Msg("taking heartbeats")
	return lifecycle.Run(ctx, stopGrace+cfg.Linger(),
		lifecycle.Service{Name: "metrics", Run: ops.Run},
		lifecycle.Service{Name: "streams", Run: ensureStreams(nats, cfg.Replicas, log)},
		lifecycle.Service{Name: "introduction", Run: nats.Introduction("ingest", id, telemetry.Version(), service.Answered)},
		lifecycle.Service{Name: "publisher", Run: service.Run},
		lifecycle.Service{Name: "server", Run: func(ctx context.Context) error {
			return server.RunBehindProxy(ctx, health, cfg.Linger(), service.Drain)
		}},
	)
}

// others is what LISTEN_ADDR serves beside heartbeats.
func others(health *httpserver.Health, service *ingest.Service) http.Handler {
	r := chi.NewRouter()
	health.Mount(r)
	r.Handle("/*", service.Handler())
	return r
}

// ensureStreams makes the streams as soon as NATS is there, and again should they be gone. What is wrong with them is
// said once.
func ensureStreams(b *bus.Bus, replicas int, log zerolog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		var said string
		for {
			pause := streamAgain
			err := ensureOnce(ctx, b, replicas)
			if err != nil {
				pause = streamRetry
			} else {
				err = fewReplicas(ctx, b, replicas)
			}
			if text := errorText(err); text != said && ctx.Err() == nil {
				said = text
				if err != nil {
					log.Warn().Err(err).Msg("the streams of NATS are not as they should be")
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func ensureOnce(ctx context.Context, b *bus.Bus, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.EnsureStreams(ctx, partition, bus.StreamLimits{Replicas: replicas})
}

// fewReplicas looks whether the streams, made earlier, have as many replicas as are wanted now.
func fewReplicas(ctx context.Context, b *bus.Bus, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.FewReplicas(ctx, partition, replicas)
}
