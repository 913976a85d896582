// Package storefaults_test puts a real Postgres through trouble, below evaluators that fold what an ingest accepts.
package storefaults_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/link"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus/bustest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/postgres"
	"github.com/gensyn-monitor/gensyn-monitor/internal/postgrestest"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
	"github.com/gensyn-monitor/gensyn-monitor/services/ingest"
)

var settings = node.Settings{Threshold: 5 * time.Second, MaxNodes: 1000}

// world is a Postgres with perhaps a replica, a nats-server, an ingest, evaluators and a fleet that reports all the time.
type world struct {
	t       *testing.T
	dir     string
	nats    *bustest.Server
	primary *postgrestest.Server
	replica *postgrestest.Server // nil without
	stream  *link.Link           // from the primary to the replica
	record  string               // URL of the server that has the truth in the end
	fleet   *fleet
	members []*member
	stop    []func() // in reverse order
}

// member is one evaluator and the links it uses.
type member struct {
	*evaluator.Service
	database, nats *link.Link
	registry       *prometheus.Registry
	log            lines
	stop           func()
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

// newWorld starts everything but evaluators.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "gensyn-storefaults-") // Postgres runs as another user when we are root
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, nats: bustest.Start(t)}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if w.primary, err = postgrestest.StartServer(w.folder("primary"), postgrestest.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.primary.Stop() })
	w.record = w.primary.URL("postgres")
	w.serve()
	return w
}

func (w *world) folder(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func (w *world) addReplica() {
	w.t.Helper()
	var err error
	if w.stream, err = link.New(w.primary.Addr()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.stream.Close)
	if w.replica, err = w.primary.StartReplica(w.folder("replica"), w.stream.Addr(), postgrestest.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.replica.Stop() })
}

// serve runs an ingest and a fleet.
func (w *world) serve() {
	w.t.Helper()
	b := w.nats.Connect()
	if err := b.EnsureStreams(w.t.Context(), 0, bus.StreamLimits{MaxBytes: 256 << 20}); err != nil {
		w.t.Fatal(err)
	}
	in, err := ingest.New(ingest.Options{ID: "ingest", Secret: secret, Bus: b, Log: zerolog.Nop()})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", in.Handler())
	door := httptest.NewServer(mux)
	w.t.Cleanup(door.Close)
	if err := in.SetSelf(strings.TrimPrefix(door.URL, "http://")); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = in.Run(ctx) }()
	w.stop = append(w.stop, sync.OnceFunc(func() { cancel(); <-done }))
	w.t.Cleanup(w.stop[0])
	w.fleet = newFleet(w.t, door.URL)
}

func pace() evaluator.Pace {
	p := evaluator.DefaultPace
	p.Commit, p.Stalled = 100*time.Millisecond, time.Hour // a stalled event would be no part of the stream
	return p
}

// add runs one more evaluator. database is the URL with the host replaced by that of its link; "" for the primary.
func (w *world) add(p evaluator.Pace, database string) *member {
	w.t.Helper()
	m := &member{registry: prometheus.NewRegistry()}
	var err error
	if m.database, err = link.ToPostgres(w.primary.Addr()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(m.database.Close)
	natsURL, err := url.Parse(w.nats.ClientURL())
	if err != nil {
		w.t.Fatal(err)
	}
	if m.nats, err = link.New(natsURL.Host); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(m.nats.Close)
	if database == "" {
		database = strings.Replace(w.primary.URL("postgres"), w.primary.Addr(), m.database.Addr(), 1)
	}
	store, err := postgres.Open(w.t.Context(), database, postgres.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = store.Close() })
	b, err := bus.Connect(bus.Options{URL: "nats://" + m.nats.Addr(), Name: "evaluator"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	name := fmt.Sprintf("evaluator-%d", len(w.members)+1)
	m.Service, err = evaluator.New(evaluator.Options{
		ID: name, Stream: evaluator.FromBus(b), Store: store, Settings: settings, Pace: p, Metrics: m.registry,
		Limits: bus.StreamLimits{MaxBytes: 256 << 20}, Log: zerolog.New(&m.log).With().Timestamp().Str("who", name).Logger(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(func() {
		m.stop()
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", name, m.log.String())
		}
	})
	w.members = append(w.members, m)
	return m
}

func await(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for deadline := began.Add(limit); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
	return time.Since(began)
}

// figure reads a metric of the member: of one value of its label, or of all with "".
func (m *member) figure(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, one := range f.GetMetric() {
			wanted := label == ""
			for _, l := range one.GetLabel() {
				wanted = wanted || l.GetValue() == label
			}
			if f.GetName() == name && wanted {
				sum += one.GetCounter().GetValue() + one.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// ready is what readiness says of a part, "" for nothing.
func (m *member) ready(part string) string {
	for _, c := range m.Checks() {
		if c.Name == part {
			if err := c.Run(context.Background()); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

// awaitTrouble waits until the member says one of these kinds of trouble in its readiness and its figures.
func (w *world) awaitTrouble(m *member, kinds ...nodestore.Trouble) nodestore.Trouble {
	w.t.Helper()
	var seen nodestore.Trouble
	await(w.t, 20*time.Second, fmt.Sprintf("readiness and figures say one of %q", kinds), func() bool {
		for _, kind := range kinds {
			if strings.HasPrefix(m.ready("database"), kind.Says()) && m.figure(w.t, "gensyn_evaluator_database_errors_total", string(kind)) > 0 {
				seen = kind
				return true
			}
		}
		return false
	})
	return seen
}

// awaitFolded waits until what the stream holds by now is committed, and returns how long that took.
func (w *world) awaitFolded() time.Duration {
	w.t.Helper()
	info, err := w.nats.Connect().Info(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	store := w.open()
	defer store.Close()
	return await(w.t, 60*time.Second, "all is folded", func() bool {
		_, p, err := store.Committed(w.t.Context(), 0)
		return err == nil && p.Seq >= info.Last
	})
}

// open reads the database that has the truth.
func (w *world) open() (s nodestore.Store) {
	w.t.Helper()
	await(w.t, 30*time.Second, "the database is there", func() (ok bool) {
		var err error
		s, err = postgres.Open(w.t.Context(), w.record, postgres.Options{MaxConns: 2})
		return err == nil
	})
	return s
}

// accepted fails unless heartbeats were answered 200 all the time, and returns how many.
func (w *world) accepted() int64 {
	w.t.Helper()
	ok, no := w.fleet.accepted.Load(), w.fleet.refused.Load()
	if again := w.fleet.again.Load(); ok == 0 || no > 0 || again > ok/50 {
		w.t.Errorf("%d heartbeats were accepted, %d of them at the second try, and %d not; want all, and hardly any again", ok, again, no)
	}
	return ok
}

// verify ends the ingest, waits until all is folded, and compares events and states with the reference fold of the whole
// stream. It returns how many transitions there were.
func (w *world) verify() int {
	w.t.Helper()
	w.fleet.stop()
	for _, stop := range w.stop {
		stop()
	}
	w.awaitFolded()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	got, err := (&rig.Rig{NATSURL: w.nats.ClientURL(), DatabaseURL: w.record}).ReadRecord(ctx, settings)
	if err != nil {
		w.t.Fatal(err)
	}
	// The evaluator tells of silence by itself; that is no part of the fold.
	got.Got = slices.DeleteFunc(got.Got, func(l string) bool { return strings.Contains(l, " stalled ") })
	for i := range max(len(got.Want), len(got.Got)) {
		if i >= len(got.Want) || i >= len(got.Got) || got.Want[i] != got.Got[i] {
			w.t.Fatalf("event %d (%d stored, %d wanted)\nstored %q\nwanted %q", i, len(got.Got), len(got.Want),
				got.Got[min(i, len(got.Got)):min(i+2, len(got.Got))], got.Want[min(i, len(got.Want)):min(i+2, len(got.Want))])
		}
	}
	for id, want := range got.WantStates {
		if got.GotStates[id] != want {
			w.t.Errorf("%s is %q, want %q", id, got.GotStates[id], want)
		}
	}
	if len(got.Want) < 2*fleetSize || len(got.GotStates) != fleetSize {
		w.t.Errorf("%d transitions of %d nodes: the test is too kind", len(got.Want), len(got.GotStates))
	}
	return len(got.Want)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// spread says a median and a maximum, or all there is where that is too little for a median.
func spread(all []time.Duration) string {
	slices.Sort(all)
	if len(all) < 3 {
		texts := make([]string, len(all))
		for i, d := range all {
			texts[i] = round(d).String()
		}
		return strings.Join(texts, " and ")
	}
	return fmt.Sprintf("%v (median), %v at most", round(all[len(all)/2]), round(all[len(all)-1]))
}

// run executes statements on the server that has the truth, whatever it is told to refuse.
func (w *world) run(statements ...string) error {
	c, err := pgx.Connect(w.t.Context(), w.record)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(w.t.Context()))
	for _, s := range statements {
		if _, err := c.Exec(w.t.Context(), s); err != nil {
			return err
		}
	}
	return nil
}
