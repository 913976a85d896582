// Package httpserver runs an HTTP server that cannot be held up: time-outs, health, readiness, drain.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

// drainTime is how long requests at hand may take when the server stops.
const drainTime = 3 * time.Second

// The limits of connections, whatever engine serves them.
const (
	ReadTimeout    = 15 * time.Second // a request with its body
	WriteTimeout   = 20 * time.Second
	IdleTimeout    = 90 * time.Second // between requests
	MaxHeaderBytes = 16 << 10
)

// Engine is what serves the connections of a listener: an *http.Server, or one like it.
type Engine interface {
	// Serve returns when the listener is closed.
	Serve(l net.Listener) error
	// Shutdown closes the listener and lets requests at hand finish, until ctx ends.
	Shutdown(ctx context.Context) error
	// Close cuts off what is left.
	Close() error
}

// Server is a bound listener and what it will serve.
type Server struct {
	listener net.Listener
	engine   Engine
	log      zerolog.Logger
	draining chan struct{} // closed when the server begins to stop
}

type drainKey struct{}

// Draining is closed when the server of the request with this context begins to stop: an answer without an end must end
// then, or it is cut off. It is nil, and so never ready, for a request of another server.
func Draining(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(drainKey{}).(chan struct{})
	return c
}

// New binds addr. The handler is served by Run.
func New(addr string, handler http.Handler, log zerolog.Logger) (*Server, error) {
	draining := make(chan struct{})
	base := context.WithValue(context.Background(), drainKey{}, draining)
	s, err := Over(addr, &http.Server{
		BaseContext:       func(net.Listener) context.Context { return base },
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          stdlog.New(log.With().Str("level", "warn").Logger(), "", 0),
	}, log)
	if err != nil {
		return nil, err
	}
	s.draining = draining
	return s, nil
}

// Over binds addr for an engine.
func Over(addr string, engine Engine, log zerolog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: another program uses this port: stop it, or choose another address", addr)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w: it must be an address such as :8080 or 127.0.0.1:8080", addr, err)
	}
	return &Server{listener: l, log: log, engine: engine, draining: make(chan struct{})}, nil
}

// Addr is the address in fact bound, with the port chosen by the system for ":0".
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then lets requests at hand finish.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.engine.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	close(s.draining)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := s.engine.Shutdown(sctx); err != nil {
		s.log.Warn().Err(err).Msg("some requests were cut off")
		_ = s.engine.Close()
	}
	_ = s.listener.Close() // an engine that had not begun yet knew of none to close
	if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// RunBehindProxy is Run for a server that proxies spread requests to. When ctx ends, h says that it is not ready, and
// requests are served on for linger, the time that proxies take to notice. Then closing is called, if not nil, and the
// listener closed. So none of those requests meets a closed listener.
func (s *Server) RunBehindProxy(ctx context.Context, h *Health, linger time.Duration, closing func()) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.Run(serving) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	h.Drain()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case err := <-served:
		return err
	case <-timer.C:
	}
	if closing != nil {
		closing()
	}
	stop()
	return <-served
}

// Closing asks clients to use their connections no more once the service is drained: who sends on a connection that
// is being closed cannot know whether it was heard.
func (h *Health) Closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Stopping() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
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

// Stopping reports whether Drain was called.
func (h *Health) Stopping() bool { return h.draining.Load() }

// Mount adds the two paths to a public router: what is wrong with the broken parts is told to this machine alone,
// their names to everybody.
func (h *Health) Mount(r chi.Router) { h.mount(r, IsLocal) }

func (h *Health) mount(r chi.Router, trusted func(*http.Request) bool) {
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	r.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		broken := h.broken(r.Context(), trusted(r))
		if len(broken) == 0 {
			answer(w, http.StatusOK, "ok\n")
			return
		}
		answer(w, http.StatusServiceUnavailable, strings.Join(broken, "\n")+"\n")
	})
}

// broken names the parts that do not work, sorted, with or without the reason.
func (h *Health) broken(ctx context.Context, reasons bool) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var broken []string
	if h.draining.Load() {
		broken = append(broken, "stopping")
	}
	for _, c := range h.checks {
		err := c.Run(ctx)
		switch {
		case err != nil && reasons:
			broken = append(broken, c.Name+": "+err.Error())
		case err != nil:
			broken = append(broken, c.Name)
		}
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

// IsLocal reports whether a request comes from this machine, and not for others through a proxy on it. A proxy is known
// by the headers it adds; nginx, which adds none unless told, by the HTTP/1.0 that it speaks unless told.
func IsLocal(r *http.Request) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Via"} {
		if r.Header.Values(name) != nil {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && r.ProtoAtLeast(1, 1)
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
	h.mount(r, func(*http.Request) bool { return true })
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
