// Package stack is the whole monitor in one process: the four services, embedded NATS and SQLite.
//
// It composes the very same New of each service that the separate programs use.
package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/lifecycle"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
)

// partition is the only one of version one.
const partition = 0

// id names every service of the process: the data directory's lock makes sure that there is no second one.
const id = "standalone"

// stopGrace bounds the stop of each service; together they stay below five seconds unless a disk hangs.
const stopGrace = 4 * time.Second

// Options are what the monitor is made of.
type Options struct {
	DataDir    string
	ListenAddr string
	Ingest     ingest.Config // without a secret one is made and kept in the data directory
	Evaluator  evaluator.Config
	Notifier   notifier.Config
	Web        web.Config
	Tracing    tracing.Exporting
	Log        zerolog.Logger
}

// Stack is the monitor, everything opened and nothing running but NATS.
type Stack struct {
	log      zerolog.Logger
	made     settings.Secret
	server   *httpserver.Server
	health   *httpserver.Health
	front    *ingest.Service
	services []lifecycle.Service
	cleanups []func()
}

// New opens the data directory, starts NATS and binds the address. Close undoes it; Run does so, too.
func New(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{log: o.Log}
	if err := s.build(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close releases what New acquired, in reverse order.
func (s *Stack) Close() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	s.cleanups = nil
}

// Addr is where the page and the heartbeat path are.
func (s *Stack) Addr() net.Addr { return s.server.Addr() }

// MadeSecret is the secret that agents need when none was given, else "".
func (s *Stack) MadeSecret() settings.Secret { return s.made }

// Run serves until ctx ends.
func (s *Stack) Run(ctx context.Context) error {
	defer s.Close()
	return lifecycle.Run(ctx, stopGrace, s.services...)
}

func (s *Stack) cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// build wires everything, in the order in which it starts.
func (s *Stack) build(ctx context.Context, o Options) error {
	store, err := s.openStore(ctx, o)
	if err != nil {
		return err
	}
	if o.Ingest.SharedSecret == "" {
		if s.made, err = keepSecret(o.DataDir); err != nil {
			return err
		}
		o.Ingest.SharedSecret = s.made
	}

	nats, connection, err := s.openBus(ctx, o)
	if err != nil {
		return err
	}
	metrics := telemetry.NewRegistry()
	tracer, err := tracing.New(o.Tracing, tracing.Options{
		Service: id, Instance: program.Instance(id), Version: telemetry.Version(), Log: o.Log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	s.cleanup(tracer.Close)

	eval, err := newEvaluator(o, store, connection, metrics, tracer)
	if err != nil {
		return err
	}
	notify, err := s.newNotifier(o, store, metrics, tracer)
	if err != nil {
		return err
	}
	page, err := newWeb(o, store, connection, metrics)
	if err != nil {
		return err
	}
	s.front, err = newIngest(o, connection, metrics, tracer)
	if err != nil {
		return err
	}
	stop, err := connection.OnNews(func() { notify.Wake(); page.Wake() }, func() time.Duration { return notifier.WakeAgain })
	if err != nil {
		return err
	}
	s.cleanup(stop)
	if stop, err = connection.OnProcess(page.Process); err != nil {
		return err
	}
	s.cleanup(stop)

	checks := append(s.front.Checks(), eval.Checks()...)
	checks = append(checks, notify.Checks()...)
	s.health = httpserver.NewHealth(append(checks, page.Checks()...)...)
	s.server, err = httpserver.New(o.ListenAddr, s.routes(s.front.Handler(), page.Handler(), metrics), o.Log)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	if err := s.front.SetSelf(s.server.Addr().String()); err != nil {
		return err
	}
	s.services = []lifecycle.Service{
		{Name: "NATS", Run: func(ctx context.Context) error { return nats.watch(ctx, s.front.Storing) }},
		{Name: "introduction", Run: connection.Introduction(id, program.Instance(id), telemetry.Version(), s.front.Answered)},
		{Name: "evaluator", Run: eval.Run},
		{Name: "notifier", Run: notify.Run},
		{Name: "web", Run: page.Run},
		{Name: "ingest", Run: s.front.Run},
		{Name: "server", Run: s.serve},
	}
	return nil
}

// openStore takes the data directory for this process alone.
func (s *Stack) openStore(ctx context.Context, o Options) (nodestore.Store, error) {
	dir, err := lock(o.DataDir)
	if err != nil {
		return nil, err
	}
	s.cleanup(func() { _ = dir.Unlock() })
	store, err := sqlite.Open(ctx, filepath.Join(o.DataDir, "monitor.db"), time.Now)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", o.DataDir, err)
	}
	s.cleanup(func() { _ = store.Close() })
	return store, nil
}

func (s *Stack) openBus(ctx context.Context, o Options) (*embedded, *bus.Bus, error) {
	nats, err := startNATS(ctx, o.DataDir, o.Log)
	if err != nil {
		return nil, nil, err
	}
	s.cleanup(nats.stop)
	connection, err := bus.Connect(bus.Options{
		Name: id, InProcess: nats, OnChange: program.ConnectionLog(o.Log.Level(zerolog.WarnLevel), "NATS"),
		OnError: program.ErrorLog(o.Log, "NATS"),
	})
	if err != nil {
		return nil, nil, err
	}
	s.cleanup(connection.Close)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return nats, connection, connection.EnsureStreams(ctx, partition, bus.StreamLimits{})
}

func newEvaluator(o Options, store nodestore.Writer, b *bus.Bus, m prometheus.Registerer, t *tracing.Tracer) (*evaluator.Service, error) {
	return evaluator.New(evaluator.Options{
		ID: id, Partition: partition, Stream: evaluator.FromBus(b), Store: store,
		Settings: o.Evaluator.Settings(), HistoryDays: o.Evaluator.HistoryDays, SamplesDays: o.Evaluator.SamplesDays,
		Log: o.Log.With().Str("part", "evaluator").Logger(), Metrics: m, Tracer: t,
	})
}

func (s *Stack) newNotifier(o Options, store nodestore.Store, m prometheus.Registerer, t *tracing.Tracer) (*notifier.Service, error) {
	log := o.Log.With().Str("part", "notifier").Logger()
	opts := notifier.Options{ID: id, Store: store, BotStore: store, Log: log, Metrics: m, Tracer: t}
	closeSender, err := o.Notifier.Apply(&opts, log)
	if err != nil {
		return nil, err
	}
	s.cleanup(closeSender)
	return notifier.New(opts)
}

func newWeb(o Options, store nodestore.Store, b *bus.Bus, m prometheus.Registerer) (*web.Service, error) {
	options := o.Web.Options(store, b, o.Log.With().Str("part", "web").Logger(), m)
	options.Partition, options.AgentHint, options.Tokens = partition, true, b
	return web.New(options)
}

func newIngest(o Options, b *bus.Bus, m prometheus.Registerer, t *tracing.Tracer) (*ingest.Service, error) {
	return ingest.New(ingest.Options{
		ID: id, Secret: o.Ingest.SharedSecret, Partition: partition, Bus: b, Tokens: b,
		TrustedProxies: o.Ingest.TrustedProxies,
		Log:            o.Log.With().Str("part", "ingest").Logger(), Metrics: m, Tracer: t,
	})
}

// routes puts everything on one port: the heartbeat path to ingest, all else to web.
func (s *Stack) routes(heartbeat, page http.Handler, metrics *prometheus.Registry) http.Handler {
	r := chi.NewRouter()
	s.health.Mount(r)
	r.Method(http.MethodGet, "/metrics", localOnly(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	r.Handle("/*", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ingest.Serves(r.URL.Path) {
			heartbeat.ServeHTTP(w, r)
			return
		}
		page.ServeHTTP(w, r)
	}))
	return r
}

// localOnly answers this machine alone: the port is a public one.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !httpserver.IsLocal(r) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Stack) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.health.Drain(); s.front.Drain() })()
	return s.server.Run(ctx)
}
