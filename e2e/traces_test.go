package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/link"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
)

// forEachMode runs a test on a monitor that sends its traces to an address, in one process and as four programs. stop ends
// the monitor before the test does. Nodes are lost after the silence.
func forEachMode(t *testing.T, endpoint func(t *testing.T) string, cfg tracing.Exporting, silence time.Duration, test func(t *testing.T, s *system, stop func(t *testing.T))) {
	t.Run("in one process", func(t *testing.T) {
		telegram := fakeTelegram(t)
		cfg.TracesEndpoint = endpoint(t)
		o := &oneProcess{dir: t.TempDir(), telegram: telegram.URL(), addr: "127.0.0.1:0", tracing: cfg, threshold: silence}
		o.start(t)
		stopped := false
		stop := func(t *testing.T) {
			if !stopped {
				stopped = true
				o.stop(t)
			}
		}
		t.Cleanup(func() { stop(t) })
		test(t, &system{ingest: "http://" + o.addr, web: "http://" + o.addr, telegram: telegram}, stop)
	})
	t.Run("as four programs", func(t *testing.T) {
		c, s := fourPrograms(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint(t), "OTEL_TRACES_SAMPLER="+cfg.TracesSampler,
			fmt.Sprint("DOWN_THRESHOLD_SEC=", silence.Seconds()))
		test(t, s, func(t *testing.T) {
			for _, p := range c.Services() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	})
}

func collector(t *testing.T) *tracingtest.Collector {
	c := tracingtest.New()
	t.Cleanup(c.Close)
	return c
}

// way is the spans from a tell to the beginning of its trace, by name.
func way(all []tracingtest.Span, request tracingtest.Span) (out map[string]tracingtest.Span, names []string) {
	byID := make(map[string]tracingtest.Span)
	for _, s := range all {
		byID[s.ID] = s
	}
	out = make(map[string]tracingtest.Span)
	for s, ok := request, true; ok && s.Trace == request.Trace; s, ok = byID[s.Parent] {
		out[s.Name] = s
		names = append(names, s.Name)
	}
	slices.Reverse(names)
	return out, names
}

// awaitRequest waits for the request to Telegram that told of a node's change to a state, all before it being there.
func awaitRequest(t *testing.T, c *tracingtest.Collector, node, to string) (spans map[string]tracingtest.Span, names []string, all []tracingtest.Span) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all, err := c.WaitFor(ctx, func(all []tracingtest.Span) bool {
		for _, s := range all {
			if s.Name != "sendMessage" {
				continue
			}
			spans, names = way(all, s)
			fold := spans["fold"].Attrs
			if fold["gensyn.node_id"] == node && fold["gensyn.kind"] == "changed" && fold["gensyn.to"] == to && !missing(all, names, spans) {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("no trace of %s going %s leads to Telegram: %+v", node, to, all)
	}
	return spans, names, all
}

// missing reports whether a span's parent has not arrived yet, but for one that a sender made.
func missing(all []tracingtest.Span, names []string, spans map[string]tracingtest.Span) bool {
	announced := slices.ContainsFunc(all, func(s tracingtest.Span) bool { return s.Name == "announce" && s.Parent == spans["commit"].ID })
	return !announced || spans[names[0]].Parent != "" && names[0] != "POST /api/heartbeat"
}

const agents = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestOneTraceRunsFromTheAgentToTelegram: who looks at an alert sees all that it went through, and how long each step took.
func TestOneTraceRunsFromTheAgentToTelegram(t *testing.T) {
	var c *tracingtest.Collector
	endpoint := func(t *testing.T) string { c = collector(t); return c.URL() }
	forEachMode(t, endpoint, tracing.Exporting{}, threshold, func(t *testing.T, s *system, stop func(t *testing.T)) {
		four := strings.Contains(t.Name(), "four")
		// Each is told by itself: of alerts that share a message the request is in the trace of the first.
		steady := []string{"steady-1", "steady-2", "steady-3", "steady-4"}
		s.keepAlive(t, steady...) // so that a silent node is not taken for deafness
		s.report(t, "traced", "UP", "")
		for _, id := range append(steady, "traced") {
			s.told(t, 10*time.Second, id)
		}
		whole := []string{"POST /api/heartbeat", "publish", "fold", "commit", "tell", "sendMessage"}

		s.report(t, "traced", "DOWN", "reason=no_p2pd")
		spans, names, _ := awaitRequest(t, c, "traced", "down")
		if !slices.Equal(names, whole) || spans["POST /api/heartbeat"].Parent != "" {
			t.Fatalf("the way is %q", names)
		}
		for i, name := range names {
			span := spans[name]
			part := []string{"ingest", "ingest", "evaluator", "evaluator", "notifier", "notifier"}[i]
			service := "gensyn-standalone"
			if four {
				service = "gensyn-" + part
			}
			if span.Part != part || span.Service != service || span.Failure != "" {
				t.Errorf("%s is %+v", name, span)
			}
			if i > 0 && span.Begin.Before(spans[names[i-1]].Begin) {
				t.Errorf("%s began at %v, before its parent %+v", name, span.Begin, spans[names[i-1]])
			}
		}
		told := s.told(t, 5*time.Second, "traced", "DOWN")
		request, tell, post := spans["sendMessage"], spans["tell"], spans["POST /api/heartbeat"]
		if request.Attrs["http.response.status_code"] != "200" || tell.Attrs["messaging.message.id"] != fmt.Sprint(told.ID) ||
			post.Attrs["http.response.status_code"] != "200" || post.Attrs["gensyn.status"] != "DOWN" {
			t.Errorf("told by %+v in %+v, posted in %+v", request, tell, post)
		}
		took := request.End.Sub(post.Begin)

		// The sender's trace goes on.
		r := s.heartbeat(t, `{"node_id":"traced","status":"UP"}`)
		r.Header.Set("Traceparent", agents)
		if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		} else {
			resp.Body.Close()
		}
		spans, names, _ = awaitRequest(t, c, "traced", "up")
		if post := spans["POST /api/heartbeat"]; !slices.Equal(names, whole) || post.Trace != agents[3:35] || post.Parent != agents[36:52] {
			t.Errorf("the way is %q, from %+v", names, post)
		}

		// What no heartbeat said begins where it was found.
		s.keepAlive(t, "traced")
		s.report(t, "silent", "UP", "")
		var all []tracingtest.Span
		spans, names, all = awaitRequest(t, c, "silent", "lost")
		if !slices.Equal(names, whole[2:]) || spans["fold"].Parent != "" {
			t.Errorf("the way of a lost node is %q", names)
		}
		// And what says nothing new is not traced.
		if n := len(slices.DeleteFunc(all, func(s tracingtest.Span) bool { return s.Name != "POST /api/heartbeat" })); n != 2 {
			t.Errorf("%d heartbeats are traced, 2 said something new", n)
		}
		stop(t)
		t.Logf("from the agent's request to Telegram's answer: %v", took)
	})
}

// heartbeat is a request with a heartbeat.
func (s *system) heartbeat(t *testing.T, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.ingest+"/api/heartbeat", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	return r
}

// TestABadCollectorSlowsNothing: with every heartbeat traced, and a collector that fails in every way, heartbeats are
// accepted as quickly as ever, alerts are told, and the monitor stops in time.
func TestABadCollectorSlowsNothing(t *testing.T) {
	var c *tracingtest.Collector
	var wire *link.Link
	endpoint := func(t *testing.T) string {
		c = collector(t)
		var err error
		if wire, err = link.New(strings.TrimPrefix(c.URL(), "http://")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(wire.Close)
		return "http://" + wire.Addr()
	}
	forEachMode(t, endpoint, tracing.Exporting{TracesSampler: "always_on"}, time.Hour, func(t *testing.T, s *system, stop func(t *testing.T)) {
		s.answered(t) // all are new, and much is done for the first time
		usual := s.answered(t)
		var seen []string
		for _, fault := range []struct {
			name  string
			begin func()
		}{
			{"500", func() {
				before := c.Requests()
				c.Answer(http.StatusInternalServerError)
				s.report(t, "many-0", "UP", "")
				if err := c.WaitForRequest(t.Context(), before); err != nil {
					t.Error(err)
				}
			}},
			{"refused", func() { wire.Refuse(true); wire.Cut() }},
			{"silent", func() { wire.Refuse(false); wire.Hold(true) }}, // to the end
		} {
			fault.begin()
			took := s.answered(t)
			seen = append(seen, fmt.Sprintf("%s %v", fault.name, took))
			if most := max(10*usual, 100*time.Millisecond); took > most {
				t.Errorf("%s: a heartbeat takes %v, usually %v", fault.name, took, usual)
			}
		}
		s.report(t, "many-7", "DOWN", "")
		s.told(t, 20*time.Second, "many-7", "DOWN") // after many new nodes messages are 15 s apart
		begun := time.Now()
		stop(t)
		stopped := time.Since(begun)
		reliability.Report(t, reliability.Row{
			Group: "Front door", Fault: "every heartbeat is traced, and the collector answers 500, refuses connections, or takes them and is silent",
			Must: "heartbeats are answered 200 as quickly as ever, alerts are told within 20 s (the pace after many alerts), and each program stops within 5 s", Rounds: 1,
			Seen: fmt.Sprintf("median answer usually %v; %s; all stopped one after the other within %v", usual, strings.Join(seen, "; "), stopped.Round(10*time.Millisecond)),
		})
	})
}

// answered posts heartbeats of many nodes one after the other, and returns the median time to the answer, which must be 200.
func (s *system) answered(t *testing.T) time.Duration {
	t.Helper()
	const n = 300
	took := make([]time.Duration, n)
	for i := range took {
		body := fmt.Appendf(nil, `{"node_id":"many-%d","status":"UP"}`, i)
		begun := time.Now()
		code, answer := s.post(t, secret, body)
		took[i] = time.Since(begun)
		if code != http.StatusOK {
			t.Fatalf("heartbeat %d: answered %d %s", i, code, answer)
		}
	}
	slices.Sort(took)
	return took[n/2].Round(10 * time.Microsecond)
}
