package evaluator_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
	"github.com/gensyn-monitor/gensyn-monitor/services/evaluator"
)

// announcing is a stream that remembers the headers of what was announced.
type announcing struct {
	*memoryStream
	mu    sync.Mutex
	heard map[string]string // traceparent by event
}

// Announce implements evaluator.Stream.
func (a *announcing) Announce(ctx context.Context, _ int, id string, _ []byte) error {
	name, value := bus.HeaderIn(ctx)
	if value != "" && name != contract.TraceHeader {
		value = "an unknown header: " + name
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard[id] = value
	return nil
}

func (a *announcing) announced(n int) func() bool {
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.heard) == n
	}
}

// remembering is a store that remembers what traces it was given.
type remembering struct {
	nodestore.Store
	mu     sync.Mutex
	traces map[string]string // by event
}

// AddTraces implements nodestore.Writer.
func (r *remembering) AddTraces(ctx context.Context, traces []nodestore.EventTrace) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range traces {
		r.traces[t.Event.String()] = t.Parent
	}
	return r.Store.AddTraces(ctx, traces)
}

// sent is a traceparent whose span is told by a digit.
func sent(digit string) string {
	return "00-" + strings.Repeat(digit, 32) + "-" + strings.Repeat(digit, 16) + "-01"
}

// add appends a batch of heartbeats, "node STATUS" each, with a header.
func (a *announcing) batch(seq uint64, header string, heartbeats ...string) {
	m := node.Message{Seq: seq, Stamp: node.Stamp(1_800_000_000_000_000_000 + seq*uint64(time.Second))}
	for _, h := range heartbeats {
		id, status, _ := strings.Cut(h, " ")
		m.Heartbeats = append(m.Heartbeats, node.Heartbeat{NodeID: id, Status: status})
	}
	a.change(func() {
		out := encode(m)
		out.Traces = header
		a.messages = append(a.messages, out)
	})
}

// script is a stream with traces of all kinds, and how many events come of it.
func script() (s *announcing, events int) {
	s = &announcing{memoryStream: newMemoryStream(), heard: make(map[string]string)}
	s.batch(1, "", "a UP", "b UP", "c UP", "twice UP")                   // four joined, in no trace of a sender
	s.batch(2, "1="+sent("1")+",2="+sent("2"), "b UP", "a DOWN", "c UP") // a's has an event, c's has none
	s.batch(3, "0="+sent("3")+",1="+sent("4"), "twice DOWN", "twice UP")
	s.batch(4, "x,-1="+sent("5")+",7="+sent("5")+",0=nonsense,,=", "b DOWN") // nothing that can be read
	return s, 8
}

// foldScript folds a script with a tracer, or none.
func foldScript(t *testing.T, store nodestore.Store, tracer *tracing.Tracer) (*announcing, []nodestore.StoredEvent) {
	t.Helper()
	s, n := script()
	e, err := evaluator.New(evaluator.Options{
		ID: "evaluator", Stream: s, Store: store, Settings: nodetest.GenerateSettings(), Pace: fast, Log: zerolog.Nop(), Tracer: tracer,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	await(t, s.announced(n))
	awaitCommitted(t, store, 4)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	events, err := store.Events(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	for i := range events {
		events[i].Found = time.Time{}
	}
	return s, events
}

// A heartbeat's trace goes on through fold and commit to the announced event, and is known to whoever reads the event from
// the database. What no heartbeat's trace brought begins one, a message at a time.
func TestATraceGoesOnFromTheHeartbeatToTheEvent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		c := tracingtest.New()
		t.Cleanup(c.Close)
		tracer, err := tracing.New(tracing.Exporting{TracesEndpoint: c.URL()}, tracing.Options{Service: "evaluator"})
		if err != nil {
			t.Fatal(err)
		}
		store := &remembering{Store: open(t), traces: make(map[string]string)}
		s, events := foldScript(t, store, tracer)
		tracer.Close()
		spans := make(map[string]tracingtest.Span)
		folds := make(map[string]int)
		for _, span := range c.Spans() {
			spans[span.ID] = span
			if span.Name == "fold" {
				folds[span.Parent]++
			}
		}
		if want := map[string]int{"": 3, sent("1")[36:52]: 1, sent("2")[36:52]: 1}; !reflect.DeepEqual(folds, want) {
			t.Errorf("folds by parent %v, want %v", folds, want)
		}
		for _, e := range events {
			id := e.ID.String()
			commit := spans[last(store.traces[id])]
			fold := spans[commit.Parent]
			announce := spans[last(s.heard[id])]
			if announce.Name != "announce" || announce.Parent != commit.ID || commit.Name != "commit" || fold.Name != "fold" || announce.Attrs["gensyn.event"] != id {
				t.Errorf("event %s: announced in %+v, committed in %+v, folded in %+v", id, announce, commit, fold)
			}
			if fold.Attrs["gensyn.seq"] != e.ID.String()[strings.Index(id, ":")+3:strings.LastIndex(id, ":")] {
				t.Errorf("event %s: folded in %+v", id, fold)
			}
			want := ""
			if e.NodeID == "a" && e.Kind == node.Changed {
				want = sent("1")[36:52]
			}
			if fold.Parent != want || want != "" && announce.Trace != sent("1")[3:35] {
				t.Errorf("event %s of %s: folded in %+v", id, e.NodeID, fold)
			}
			if fold.Begin.After(fold.End) || commit.Begin.After(commit.End) || commit.End.Before(fold.End) {
				t.Errorf("event %s: fold %v to %v, commit %v to %v", id, fold.Begin, fold.End, commit.Begin, commit.End)
			}
		}
	})
}

// last is the span that a traceparent names.
func last(traceparent string) string {
	if traceparent == "" {
		return ""
	}
	return traceparent[36:52]
}

// Whether anybody traces changes no event: the same stream gives the same ids and contents.
func TestTracesChangeNoEvent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, open func(t *testing.T) nodestore.Store) {
		c := tracingtest.New()
		t.Cleanup(c.Close)
		tracer, err := tracing.New(tracing.Exporting{TracesEndpoint: c.URL()}, tracing.Options{Service: "evaluator"})
		if err != nil {
			t.Fatal(err)
		}
		defer tracer.Close()
		_, with := foldScript(t, open(t), tracer)
		_, without := foldScript(t, open(t), nil)
		if !reflect.DeepEqual(with, without) || len(with) == 0 {
			a, _ := json.Marshal(with)
			b, _ := json.Marshal(without)
			t.Errorf("with traces\n%s\nwithout\n%s", a, b)
		}
	})
}
