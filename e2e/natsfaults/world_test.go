// Package natsfaults_test puts real nats-server processes through trouble, below an ingest and an evaluator.
package natsfaults_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
)

const threshold = 5 * time.Second

// programs compiles nats-server, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gensyn-nats-bin-")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir, "github.com/nats-io/nats-server/v2")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// world is n nats-servers, an ingest and an evaluator on them, and a fleet that reports all the time.
type world struct {
	t       *testing.T
	dir     string
	servers []*cluster.Process
	url     string
	door    *httptest.Server
	ingest  *ingest.Service
	eval    *evaluator.Service
	store   nodestore.Store
	own     *bus.Bus // of the test
	js      jetstream.JetStream
	log     *lines
	fleet   *fleet
	nodes   int // in the fleet

	registry *prometheus.Registry // of the ingest
}

// lines is a log that can be searched.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs everything until the test ends. The limits are those of the heartbeats stream.
func start(t *testing.T, servers int, limits bus.StreamLimits) *world {
	t.Helper()
	w := define(t, servers)
	w.run(limits)
	return w
}

// define says what runs, and starts nothing yet.
func define(t *testing.T, servers int) *world {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), log: new(lines), nodes: fleetSize, registry: prometheus.NewRegistry()}
	if w.servers, w.url, err = cluster.NATSServers(w.dir, bin, servers); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) run(limits bus.StreamLimits) {
	t := w.t
	t.Helper()
	t.Cleanup(func() {
		for _, p := range w.servers {
			p.Kill()
		}
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	if err := cluster.StartTogether(t.Context(), w.servers...); err != nil {
		t.Fatal(err)
	}
	w.connect()
	await(t, 40*time.Second, "the streams", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return w.own.EnsureStreams(ctx, 0, limits) == nil
	})
	w.serve()
	w.fleet = newFleet(w.door.URL, w.nodes)
	t.Cleanup(w.fleet.stop)
	w.awaitFolded()
}

func (w *world) connect() {
	nc, err := nats.Connect(w.url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		w.t.Fatal(err)
	}
	w.own = w.bus("test")
}

func (w *world) bus(name string) *bus.Bus {
	b, err := bus.Connect(bus.Options{URL: w.url, Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	return b
}

// serve runs an ingest and an evaluator, each with its own connection, as separate programs have.
func (w *world) serve() {
	log := zerolog.New(w.log).With().Timestamp().Logger()
	var err error
	w.ingest, err = ingest.New(ingest.Options{
		ID: "ingest", Secret: "secret-of-the-test", Bus: w.bus("ingest"), Log: log.With().Str("part", "ingest").Logger(),
		Metrics: w.registry,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", w.ingest.Handler())
	w.door = httptest.NewServer(mux)
	w.t.Cleanup(w.door.Close)
	if err := w.ingest.SetSelf(strings.TrimPrefix(w.door.URL, "http://")); err != nil {
		w.t.Fatal(err)
	}
	if w.store, err = sqlite.Open(w.t.Context(), filepath.Join(w.dir, "monitor.db"), time.Now); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.store.Close() })
	pace := evaluator.DefaultPace
	pace.Stalled = threshold
	w.eval, err = evaluator.New(evaluator.Options{
		ID: "evaluator", Stream: evaluator.FromBus(w.bus("evaluator")), Store: w.store, Pace: pace,
		Settings: node.Settings{Threshold: threshold, MaxNodes: 1000}, Log: log.With().Str("part", "evaluator").Logger(),
		Limits: bus.StreamLimits{Replicas: len(w.servers)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.ingest.Run(ctx) })
	wg.Go(func() { _ = w.eval.Run(ctx) })
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

func await(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// awaitFolded waits until a heartbeat sent from now on is committed, and returns how long that took.
func (w *world) awaitFolded() time.Duration {
	w.t.Helper()
	begun := time.Now()
	from := node.Stamp(begun.UnixNano())
	await(w.t, time.Minute, "a heartbeat sent now is folded", func() bool {
		nodes, err := w.store.Nodes(w.t.Context(), nodestore.NodeQuery{})
		return err == nil && slices.ContainsFunc(nodes, func(n node.Node) bool { return n.Heard > from })
	})
	return time.Since(begun)
}

// awaitAccepted waits until so many heartbeats sent from then on are answered 200.
func (w *world) awaitAccepted(t *testing.T, from time.Time, n int) {
	t.Helper()
	await(t, 20*time.Second, fmt.Sprintf("%d answers of 200", n), func() bool {
		accepted := 0
		for _, a := range w.fleet.since(from) {
			if a.status == http.StatusOK {
				accepted++
			}
		}
		return accepted >= n
	})
}

// position is the committed one.
func (w *world) position() node.Position {
	w.t.Helper()
	_, p, err := w.store.Committed(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// count is how many events are of the kind and lead to the state.
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

// history is what happened besides joining, and what the nodes that were lost had been answered.
func (w *world) history() string {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range slices.Backward(events) {
		if e.Kind == node.Joined {
			continue
		}
		fmt.Fprintf(&b, "%v %s %s %s %s>%s since %v\n", e.At.Time(), e.ID, e.Kind, e.NodeID, e.From, e.To, e.Since.Time())
		if e.To != node.Lost {
			continue
		}
		for _, a := range w.fleet.all() {
			if strings.HasPrefix(a.meta, e.NodeID+"@") && a.at.UnixNano() > int64(e.Since)-int64(threshold) && a.at.UnixNano() < int64(e.At)+int64(threshold) {
				fmt.Fprintf(&b, "\tsent %v: %d after %v\n", a.at.UTC(), a.status, a.took)
			}
		}
	}
	return b.String()
}

// problem is what readiness says of a part of the ingest or the evaluator.
func (w *world) problem(part string) string {
	for _, c := range append(w.eval.Checks(), w.ingest.Checks()...) {
		if c.Name == part {
			if err := c.Run(context.Background()); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

// audit reads the whole stream: how many acknowledged heartbeats are not in it, and how many refused ones are.
func (w *world) audit() (acked, lost, refused, landed int) {
	w.t.Helper()
	w.fleet.stop()
	stored := w.stored()
	for _, a := range w.fleet.all() {
		switch {
		case a.status == http.StatusOK && stored[a.meta]:
			acked++
		case a.status == http.StatusOK:
			acked++
			lost++
		case stored[a.meta]:
			refused++
			landed++
		default:
			refused++
		}
	}
	return acked, lost, refused, landed
}

// stored are the heartbeats in the stream, by meta.
func (w *world) stored() map[string]bool {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	info, err := w.own.Info(ctx, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.own.Consume(ctx, 0, bus.Start{Seq: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Stop()
	stored := make(map[string]bool)
	for seq := uint64(0); seq < info.Last; {
		select {
		case m, open := <-r.Messages():
			if !open {
				w.t.Fatalf("the stream ended at %d: %v", seq, r.Err())
			}
			seq = m.Seq
			b, _ := contract.DecodeBatch(m.Data)
			for _, h := range b.Heartbeats {
				stored[h.Meta] = true
			}
		case <-ctx.Done():
			w.t.Fatal("the stream could not be read")
		}
	}
	return stored
}

// leader is the server that leads the heartbeats stream, nil while there is none.
func (w *world) leader() *cluster.Process {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, contract.HeartbeatsStream(0))
	if err != nil || s.CachedInfo().Cluster == nil {
		return nil
	}
	for _, p := range w.servers {
		if p.Name == s.CachedInfo().Cluster.Leader {
			return p
		}
	}
	return nil
}

func (w *world) others(than *cluster.Process) (out []*cluster.Process) {
	for _, p := range w.servers {
		if p != than {
			out = append(out, p)
		}
	}
	return out
}

func spread(all []time.Duration) string {
	slices.Sort(all)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("%v (median), %v at most", round(all[len(all)/2]), round(all[len(all)-1]))
}
