package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
)

const senders = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// traced makes a tracer whose spans arrive once it is closed.
func traced(t *testing.T, cfg tracing.Exporting) (*tracing.Tracer, *tracingtest.Collector) {
	t.Helper()
	c := tracingtest.New()
	t.Cleanup(c.Close)
	cfg.TracesEndpoint = c.URL()
	tr, err := tracing.New(cfg, tracing.Options{Service: "ingest"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr, c
}

// report posts a heartbeat of a node with a status, and a traceparent if there is one.
func report(h http.Handler, node, status, reason, parent string) int {
	body := fmt.Sprintf(`{"node_id":%q,"status":%q,"reason":%q}`, node, status, reason)
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
	r.Header.Set("Authorization", bearer)
	r.Header.Set("Traceparent", parent)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Heartbeats that say what they said before are not traced; those that people look for are.
func TestWhatIsNewIsTraced(t *testing.T) {
	for name, tt := range map[string]struct {
		sampler string
		reports []string // status, reason, and * where it is traced
	}{
		"all is well":             {"", []string{"UP", "", "UP", "up"}},
		"down, again, and up":     {"", []string{"UP", "DOWN x*", "DOWN x", "down x", "UP*", "UP"}},
		"another reason":          {"", []string{"DOWN x*", "DOWN y*", "DOWN y", "DEGRADED y*", " *"}},
		"always":                  {"always_on", []string{"UP*", "UP*", "DOWN*"}},
		"never":                   {"always_off", []string{"UP", "DOWN x", "UP"}},
		"the share of the sender": {"parentbased_always_off", []string{"UP", "DOWN x"}},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, c := traced(t, tracing.Exporting{TracesSampler: tt.sampler})
			clock, b := newClock(), newFakeBus()
			s := newService(t, Options{Bus: b, Tracer: tracer, Now: clock.now})
			stop := start(t, s)
			var want []string
			for _, r := range tt.reports {
				words, traced := strings.CutSuffix(r, "*")
				status, reason, _ := strings.Cut(words, " ")
				clock.advance(time.Minute)
				if code := report(s.Handler(), "n", status, reason, ""); code != http.StatusOK {
					t.Fatalf("%q: %d", r, code)
				}
				if traced {
					want = append(want, fmt.Sprint(clock.now()))
				}
			}
			stop()
			tracer.Close()
			var got []string
			for _, span := range c.Spans() {
				if span.Kind == "SERVER" {
					got = append(got, fmt.Sprint(span.Begin))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("traced at %v, want %v", got, want)
			}
			// A message of a heartbeat that is not traced carries nothing of one before.
			carried := 0
			for _, traces := range b.traces {
				carried += len(traces)
			}
			if carried != len(want) {
				t.Errorf("messages carry %d traces, want %d", carried, len(want))
			}
		})
	}
}

// One message joins the heartbeats of many requests. It carries the traces of those that are traced, and each is that of
// its heartbeat.
func TestAMessageCarriesTheTracesOfItsHeartbeats(t *testing.T) {
	tracer, c := traced(t, tracing.Exporting{})
	b := newFakeBus()
	s := newService(t, Options{Bus: b, Tracer: tracer})
	var wg sync.WaitGroup
	post := func(node, status, parent string) {
		wg.Go(func() {
			if code := report(s.Handler(), node, status, "", parent); code != http.StatusOK {
				t.Errorf("%s: %d", node, code)
			}
		})
	}
	for i := range 30 {
		post(fmt.Sprint("up-", i), "UP", "")
	}
	post("down", "DOWN", "")
	post("sent", "UP", senders)
	post("unsampled", "DOWN", senders[:53]+"00")
	for waiting := 0; waiting < 33; { // all wait for the first message
		s.commit.mu.Lock()
		waiting = s.commit.waiting
		s.commit.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	stop := start(t, s)
	wg.Wait()
	stop()
	tracer.Close()
	if len(b.batches) != 1 || len(b.traces[0]) != 2 {
		t.Fatalf("%d messages, traces %v", len(b.batches), b.traces)
	}
	spans := make(map[string]tracingtest.Span)
	for _, s := range c.Spans() {
		spans[s.ID] = s
	}
	if len(spans) != 4 {
		t.Errorf("%d spans: %+v", len(spans), spans)
	}
	for _, carried := range b.traces[0] {
		publish := spans[carried.Parent[36:52]]
		post := spans[publish.Parent]
		node := b.batches[0].Heartbeats[carried.Heartbeat].NodeID
		if publish.Name != "publish" || publish.Kind != "PRODUCER" || publish.Attrs["messaging.batch.message_count"] != "33" || carried.Parent[3:35] != publish.Trace {
			t.Errorf("the message carries %v of %+v", carried, publish)
		}
		if post.Name != "POST /api/heartbeat" || post.Attrs["gensyn.node_id"] != node || post.Trace != publish.Trace || post.Attrs["http.response.status_code"] != "200" || post.Part != "ingest" {
			t.Errorf("heartbeat %d is of %s, its span %+v", carried.Heartbeat, node, post)
		}
		if sent := node == "sent"; sent != (post.Trace == senders[3:35]) || sent != (post.Parent == senders[36:52]) || !sent && post.Parent != "" {
			t.Errorf("of %s, its parent: %+v", node, post)
		}
	}
}

func TestATraceSaysThatItsHeartbeatIsNotStored(t *testing.T) {
	tracer, c := traced(t, tracing.Exporting{})
	b := newFakeBus()
	b.err = errors.New("no room")
	s := newService(t, Options{Bus: b, Tracer: tracer})
	stop := start(t, s)
	if code := report(s.Handler(), "n", "DOWN", "", ""); code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", code)
	}
	stop()
	tracer.Close()
	for _, span := range c.Spans() {
		if span.Failure == "" || span.Kind == "SERVER" && span.Attrs["http.response.status_code"] != "503" {
			t.Errorf("%+v", span)
		}
	}
	if n := len(c.Spans()); n != 2 {
		t.Errorf("%d spans", n)
	}
}

// A fleet that goes down together, and whoever is not let in, do not fill the collector.
func TestTracesAreBounded(t *testing.T) {
	tracer, c := traced(t, tracing.Exporting{})
	clock, b := newClock(), newFakeBus()
	s := newService(t, Options{Bus: b, Tracer: tracer, Now: clock.now})
	stop := start(t, s)
	for i := range 3 * tracesAtOnce {
		report(s.Handler(), fmt.Sprint("n-", i), "DOWN", "", "")
	}
	clock.advance(tracesEach)
	report(s.Handler(), "late", "DOWN", "", "")
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(`{"node_id":"stranger","status":"DOWN"}`))
	r.Header.Set("Traceparent", senders)
	s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	stop()
	tracer.Close()
	n := 0
	for _, span := range c.Spans() {
		if span.Kind == "SERVER" {
			n++
		}
	}
	if n != tracesAtOnce+1 {
		t.Errorf("%d of %d are traced", n, 3*tracesAtOnce+1)
	}
	for i := range 2 * maxTroubled {
		s.traces.news(&contract.Heartbeat{NodeID: fmt.Sprint("x-", i), Status: "DOWN"})
	}
	if n := len(s.traces.troubled); n != maxTroubled {
		t.Errorf("%d nodes are remembered", n)
	}
}

// What is not traced pays nothing for those that are.
func TestUntracedHeartbeatsCostNothing(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	at := &arrival{begun: time.Now(), trace: senders}
	h := &contract.Heartbeat{NodeID: "n", Status: "DOWN"}
	batch := []*submission{{}, {}}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		span := s.traces.begin(at, h)
		out, p := s.commit.publishing(ctx, batch)
		p.end(nil)
		s.endTrace(span, nil)
		if span != nil || out != ctx {
			t.Error("a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
