package ingest

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// fasthttp keeps the date of its answers, and its idle workers, in goroutines of their own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const testSecret = settings.Secret("correct-horse")

// fakeBus stores what it is told to, or fails, or holds messages back.
type fakeBus struct {
	mu       sync.Mutex
	err      error
	hold     chan struct{} // messages wait until it is closed; nil for not at all
	begun    int
	inFlight int
	batches  []contract.Batch
	traces   [][]contract.Trace // of each
	changed  chan struct{}      // takes one whenever something happened
}

func newFakeBus() *fakeBus { return &fakeBus{changed: make(chan struct{}, 1)} }

func (b *fakeBus) Ready(context.Context) error { return nil }

func (b *fakeBus) Publish(ctx context.Context, subject string, data []byte) (uint64, error) {
	b.mu.Lock()
	b.begun++
	b.inFlight++
	hold := b.hold
	b.mu.Unlock()
	b.happened()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.happened()
	b.inFlight--
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if b.err != nil {
		return 0, b.err
	}
	batch, err := contract.DecodeBatch(data)
	if err != nil || subject != "heartbeat.0" {
		panic("unreadable batch, or a wrong subject: " + subject + ": " + string(data))
	}
	name, value := bus.HeaderIn(ctx)
	traces := contract.DecodeTraces(value)
	if value != "" && (name != contract.TracesHeader || value != contract.EncodeTraces(traces)) {
		panic("an unknown header: " + name + ": " + value)
	}
	b.batches, b.traces = append(b.batches, batch), append(b.traces, traces)
	return uint64(len(b.batches)), nil
}

func (b *fakeBus) happened() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *fakeBus) set(f func(b *fakeBus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

// stored returns the batches so far.
func (b *fakeBus) stored() []contract.Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]contract.Batch(nil), b.batches...)
}

// heartbeats returns the stored heartbeats in order, without the batches.
func (b *fakeBus) heartbeats() []contract.Heartbeat {
	var out []contract.Heartbeat
	for _, batch := range b.stored() {
		out = append(out, batch.Heartbeats...)
	}
	return out
}

func newService(t *testing.T, o Options) *Service {
	t.Helper()
	if o.ID == "" {
		o.ID = "ingest-1"
	}
	if o.Secret == "" {
		o.Secret = testSecret
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a service until the test ends.
func start(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// endpoint is where a service is served.
type endpoint struct{ URL, addr string }

// eachServer runs a test with the two servers that a service can be behind: net/http's, as in standalone, and fasthttp,
// as in the program of ingest.
func eachServer(t *testing.T, test func(t *testing.T, serve func(*testing.T, Options) (*Service, endpoint))) {
	t.Helper()
	t.Run("net/http", func(t *testing.T) {
		test(t, func(t *testing.T, o Options) (*Service, endpoint) {
			s := newService(t, o)
			server := httptest.NewServer(s.Handler())
			t.Cleanup(server.Close)
			start(t, s)
			return s, endpoint{server.URL, server.Listener.Addr().String()}
		})
	})
	t.Run("fasthttp", func(t *testing.T) {
		test(t, func(t *testing.T, o Options) (*Service, endpoint) {
			s := newService(t, o)
			e, _ := serveFront(t, s)
			start(t, s)
			return s, e
		})
	})
}

func never() bool { return false }

// serveFront runs the front of a service until the test ends, or stop is called.
func serveFront(t *testing.T, s *Service) (e endpoint, stop func()) {
	t.Helper()
	server, err := httpserver.Over("127.0.0.1:0", s.Front(s.Handler(), never), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	t.Cleanup(stop)
	addr := server.Addr().String()
	return endpoint{"http://" + addr, addr}, stop
}

// fakeClock goes on when it is told to.
type fakeClock struct{ at atomic.Pointer[time.Time] }

func newClock() *fakeClock {
	c := new(fakeClock)
	c.at.Store(new(time.Unix(1e9, 0)))
	return c
}

func (c *fakeClock) now() time.Time { return *c.at.Load() }

func (c *fakeClock) advance(d time.Duration) { c.at.Store(new(c.now().Add(d))) }
