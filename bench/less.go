package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gensyn-monitor/gensyn-monitor/bench/load"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// What runs beside the product, to see what the machine can do.
const (
	bare      = "bare"    // decodes and answers
	publishes = "publish" // decodes, publishes one JetStream message for each request, and answers
)

// gaugeSpan is long enough for the start of the handler not to show.
const gaugeSpan = 5 * time.Second

// alone is the processor time of the bare handler under a load, and of how many heartbeats: a request that comes alone
// costs several times what one of many does, whoever serves it.
func (b *bench) alone(ctx context.Context, o load.Options) (used time.Duration, heartbeats int, err error) {
	h, addr, err := self(b.Dir, bare, "")
	if err != nil {
		return 0, 0, err
	}
	defer h.Kill()
	if err := h.Start(ctx); err != nil {
		return 0, 0, err
	}
	m := newMeter()
	m.pids[bare] = h.PID()
	if err := m.start(); err != nil {
		return 0, 0, err
	}
	o.Addr = addr
	r, err := b.post(ctx, o)
	if err != nil {
		return 0, 0, err
	}
	_, used, err = m.read()
	return used, r.Accepted, err
}

// gauge notes what the machine can do in this hour: the bare handler as fast as it answers.
func (b *bench) gauge(ctx context.Context) error {
	used, heartbeats, err := b.alone(ctx, load.Options{Nodes: fewer, Duration: gaugeSpan})
	if err != nil {
		return err
	}
	b.bare = micros(used, heartbeats)
	b.atMost("the machine: processor time a heartbeat of a bare handler, as fast as it answers, just before", "µs", b.bare, 0)
	return nil
}

// toBare compares what a heartbeat costs with the gauge.
func (b *bench) toBare(name string, value float64) {
	b.atMost(name+", to the bare handler", "×", value/b.bare, 0)
}

// Serve plays a handler that does less than ingest, until ctx ends.
func Serve(ctx context.Context, kind, addr, natsURL string) error {
	store := func(context.Context, contract.Heartbeat) error { return nil }
	switch kind {
	case bare:
	case publishes:
		nc, err := nats.Connect(natsURL)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		store = func(ctx context.Context, h contract.Heartbeat) error {
			data, err := json.Marshal(contract.Batch{V: contract.Version, Heartbeats: []contract.Heartbeat{h}})
			if err == nil {
				_, err = js.Publish(ctx, contract.HeartbeatSubject(0), data)
			}
			return err
		}
	default:
		return fmt.Errorf("bench: no handler is called %q", kind)
	}
	r := chi.NewRouter()
	r.Get("/healthz", func(http.ResponseWriter, *http.Request) {})
	r.Post("/api/heartbeat", func(w http.ResponseWriter, r *http.Request) {
		var h contract.Heartbeat
		if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := store(r.Context(), h); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}` + "\n"))
	})
	server := &http.Server{Addr: addr, Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
