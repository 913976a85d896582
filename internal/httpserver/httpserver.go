// Package httpserver runs an HTTP server that cannot be held up: time-outs, health, readiness, drain.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

// drainTime is how long requests at hand may take when the server stops.
const drainTime = 3 * time.Second

// Server is a bound listener and what it will serve.
type Server struct {
	listener net.Listener
	server   *http.Server
	log      zerolog.Logger
}

// New binds addr. The handler is served by Run.
func New(addr string, handler http.Handler, log zerolog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &Server{listener: l, log: log, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr is the address in fact bound, with the port chosen by the system for ":0".
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then lets requests at hand finish.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := s.server.Shutdown(sctx); err != nil {
		s.log.Warn().Err(err).Msg("some requests were cut off")
		_ = s.server.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Check says what is wrong with one thing the service needs, or nil. It must answer within its context.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Health serves /healthz and /readyz.
type Health struct {
	checks   []Check
	draining atomic.Bool
}

// NewHealth makes the probes. Ready means that every check passes.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// Drain makes the service not ready while it still answers, so that it gets no new requests.
func (h *Health) Drain() { h.draining.Store(true) }

// Mount adds the two paths to a router.
func (h *Health) Mount(r chi.Router) {
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	r.Get("/readyz", h.ready)
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	var broken []string
	if h.draining.Load() {
		broken = append(broken, "stopping")
	}
	for _, c := range h.checks {
		if err := c.Run(ctx); err != nil {
			broken = append(broken, c.Name+": "+err.Error())
		}
	}
	if len(broken) == 0 {
		answer(w, http.StatusOK, "ok\n")
		return
	}
	slices.Sort(broken)
	answer(w, http.StatusServiceUnavailable, strings.Join(broken, "\n")+"\n")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// NewOps is the handler for METRICS_ADDR: /metrics, /healthz and /readyz, for machines, never for the public.
func NewOps(h *Health, metrics http.Handler) http.Handler {
	r := chi.NewRouter()
	h.Mount(r)
	r.Method(http.MethodGet, "/metrics", metrics)
	return r
}

// Switch is a server whose handler can be exchanged while it runs: a program answers for its health before the
// things it waits for are there.
type Switch struct {
	*Server
	handler atomic.Pointer[http.Handler]
}

// NewSwitch binds addr. Until Serve is called it answers 503.
func NewSwitch(addr string, log zerolog.Logger) (*Switch, error) {
	s := &Switch{}
	s.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusServiceUnavailable, "starting\n")
	}))
	server, err := New(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*s.handler.Load()).ServeHTTP(w, r)
	}), log)
	if err != nil {
		return nil, err
	}
	s.Server = server
	return s, nil
}

// Serve answers with h from now on.
func (s *Switch) Serve(h http.Handler) { s.handler.Store(&h) }
