package evaluator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// natsPace is the real pace, but for what makes a test wait.
func natsPace() evaluator.Pace {
	p := evaluator.DefaultPace
	p.Commit, p.Verify, p.Retry, p.Stalled = 50*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond, time.Hour
	return p
}

// natsThreshold makes a blind span of every gap of more than a second.
var natsSettings = node.Settings{Threshold: 2 * time.Second, MaxNodes: 100}

// world is an evaluator on a real nats-server, and three nodes that report all the time.
type world struct {
	t        *testing.T
	server   *bustest.Server
	dir      string // of the database
	store    nodestore.Store
	eval     *evaluator.Service
	registry *prometheus.Registry
	log      logBuffer
	stop     func() // the evaluator
	fleet    *fleet
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func newWorld(t *testing.T, limits bus.StreamLimits) *world {
	t.Helper()
	w := &world{t: t, server: bustest.Start(t), dir: t.TempDir()}
	w.fleet = &fleet{b: w.server.Connect()}
	if err := w.fleet.b.EnsureStreams(t.Context(), 0, limits); err != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	store, err := sqlite.Open(w.t.Context(), filepath.Join(w.dir, "monitor.db"), time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	w.t.Cleanup(func() { _ = store.Close() })
}

// start runs an evaluator. wrap may put something between it and the store; nil for nothing.
func (w *world) start(pace evaluator.Pace, wrap func(nodestore.Writer) nodestore.Writer) {
	w.t.Helper()
	var store nodestore.Writer = w.store
	if wrap != nil {
		store = wrap(store)
	}
	w.registry = prometheus.NewRegistry()
	s, err := evaluator.New(evaluator.Options{
		ID: "evaluator", Stream: evaluator.FromBus(w.server.Connect()), Store: store, Settings: natsSettings,
		Limits: bus.StreamLimits{MaxBytes: 64 << 20}, Pace: pace, Log: zerolog.New(&w.log), Metrics: w.registry,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.eval = s
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(func() { w.stop() })
}

// awaitFolded waits until something published from now on is committed, and returns how long that took.
func (w *world) awaitFolded() time.Duration {
	w.t.Helper()
	begun := time.Now()
	mark := fmt.Sprintf("mark-%d", begun.UnixNano())
	w.fleet.mark.Store(&mark)
	await(w.t, func() bool {
		nodes, err := w.store.Nodes(w.t.Context(), nodestore.NodeQuery{})
		return err == nil && slices.ContainsFunc(nodes, func(n node.Node) bool { return n.ID == "a" && n.Meta == mark })
	})
	return time.Since(begun)
}

// count is how many stored events are of the kind, or lead to the state.
func (w *world) count(kind node.Kind, to node.State) int {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, e := range events {
		if e.Kind == kind && e.To == to {
			n++
		}
	}
	return n
}

// wantNoLost fails when a node that reported all the time was lost.
func (w *world) wantNoLost() {
	w.t.Helper()
	if n := w.count(node.Changed, node.Lost); n != 0 {
		w.t.Errorf("%d times LOST, and all nodes reported whenever they could: %q", n, storedLines(w.t, w.store))
	}
}

// figure reads a metric, the sum over its labels.
func (w *world) figure(name string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// fleet is three nodes whose heartbeats arrive ten times a second, as one batch.
type fleet struct {
	b     *bus.Bus
	mark  atomic.Pointer[string]
	acked atomic.Int64
	pad   string
}

// run publishes until the test ends; stop waits for it.
func (f *fleet) run(t *testing.T, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(every); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				f.publish(ctx, "UP")
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func (f *fleet) publish(ctx context.Context, status string) {
	batch := contract.Batch{V: contract.Version, Ingest: "test"}
	meta := ""
	if m := f.mark.Load(); m != nil {
		meta = *m
	}
	for _, id := range []string{"a", "b", "c"} {
		batch.Heartbeats = append(batch.Heartbeats, contract.Heartbeat{
			NodeID: id, Status: status, Meta: meta, Evidence: f.pad,
		})
	}
	data, err := json.Marshal(batch)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := f.b.Publish(ctx, contract.HeartbeatSubject(0), data); err == nil {
		f.acked.Add(1)
	}
}

// spread says a median and a maximum.
func spread(all []time.Duration) string {
	slices.Sort(all)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("%v (median), %v at most", round(all[len(all)/2]), round(all[len(all)-1]))
}

func kindOf(t *testing.T, data []byte) string {
	t.Helper()
	var e contract.Event
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e.Kind
}
