package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/lifecycle"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
)

const stopGrace = 4 * time.Second

// serve wires the service and runs it until ctx ends. The page comes up before the database and NATS do.
func serve(ctx context.Context, cfg web.ProcessConfig, log zerolog.Logger,
	open func(context.Context) (nodestore.Store, error),
) error {
	id := program.Instance("web")
	nats, err := bus.Connect(bus.Options{
		URL: cfg.NATSURL, Name: id, CredsFile: cfg.NATSCreds,
		OnChange: program.ConnectionLog(log, "NATS"), OnError: program.ErrorLog(log, "NATS"),
	})
	if err != nil {
		return err
	}
	defer nats.Close()

	registry, store := telemetry.NewRegistry(), &lateStore{open: open}
	options := cfg.Options(store, nats, log, registry)
	options.Clock, options.Tokens = nats.Clock, nats
	service, err := web.New(options)
	if err != nil {
		return err
	}
	unsubscribe, err := nats.OnNews(service.Wake, service.Rest)
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer unsubscribe()
	forget, err := nats.OnProcess(service.Process)
	if err != nil {
		return fmt.Errorf("listen for processes: %w", err)
	}
	defer forget()

	health := httpserver.NewHealth(service.Checks()...)
	server, err := httpserver.New(cfg.ListenAddr, front(health, service), log)
	if err != nil {
		return err
	}
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	ops, err := httpserver.New(cfg.MetricsAddr, httpserver.NewOps(health, figures), log)
	if err != nil {
		return err
	}
	log.Info().Stringer("addr", server.Addr()).Stringer("metrics", ops.Addr()).Str("version", telemetry.Version()).
		Msg("showing nodes")
	return lifecycle.Run(ctx, stopGrace+cfg.Linger(),
		lifecycle.Service{Name: "metrics", Run: ops.Run},
		lifecycle.Service{Name: "store", Run: func(ctx context.Context) error { return store.run(ctx, log) }},
		lifecycle.Service{Name: "introduction", Run: nats.Introduction("web", id, telemetry.Version(), nil)},
		lifecycle.Service{Name: "web", Run: service.Run},
		lifecycle.Service{Name: "server", Run: func(ctx context.Context) error {
			return server.RunBehindProxy(ctx, health, cfg.Linger(), nil)
		}},
	)
}

// front is what LISTEN_ADDR serves.
func front(health *httpserver.Health, service *web.Service) http.Handler {
	r := chi.NewRouter()
	health.Mount(r)
	r.Handle("/*", service.Handler())
	return health.Closing(r)
}
