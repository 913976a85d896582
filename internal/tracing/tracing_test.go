package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing/tracingtest"
)

const sender = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var at = time.Unix(1_800_000_000, 0)

func collector(t *testing.T) *tracingtest.Collector {
	c := tracingtest.New()
	t.Cleanup(c.Close)
	return c
}

// tracer sends to c what it is told to, and counts in the registry.
func tracer(t *testing.T, cfg tracing.Exporting) (*tracing.Tracer, *prometheus.Registry, *bytes.Buffer) {
	t.Helper()
	if err := cfg.CheckExporting(); err != nil {
		t.Fatal(err)
	}
	r, log := prometheus.NewRegistry(), &bytes.Buffer{}
	tr, err := tracing.New(cfg, tracing.Options{Service: "ingest", Instance: "a", Version: "v", Log: zerolog.New(log), Metrics: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr, r, log
}

func spans(r *prometheus.Registry) map[string]int {
	out := make(map[string]int)
	families, _ := r.Gather()
	for _, f := range families {
		for _, m := range f.Metric {
			out[m.Label[0].GetValue()] = int(m.Counter.GetValue())
		}
	}
	return out
}

func TestASpanContinuesTheSendersTraceAndArrivesWhole(t *testing.T) {
	c := collector(t)
	tr, r, _ := tracer(t, tracing.Exporting{
		TracesEndpoint: c.URL() + "/", TracesHeaders: "api-key=a%20b, x = y", TracesAttributes: "deployment.environment=test,service.name=unheard",
		TracesService: "front",
	})
	s := tr.Begin(tracing.Beginning{
		Name: "POST", Kind: tracing.Server, Parent: tracing.Parse(sender), At: at, Attrs: []tracing.Attr{tracing.Text("a", "b")},
	})
	child := s.Child(tracing.Beginning{Name: "publish", Kind: tracing.Producer, At: at.Add(1), Links: []tracing.Context{sender}})
	child.Set(tracing.Number("n", 7))
	child.End(at.Add(2), "no answer")
	s.End(at.Add(3), "")
	tr.Close()
	all := c.Spans()
	if len(all) != 2 {
		t.Fatalf("%d spans arrived: %+v", len(all), all)
	}
	inner, outer := all[0], all[1]
	if outer.Trace != sender[3:35] || outer.Parent != sender[36:52] || outer.Kind != "SERVER" || outer.Service != "front" ||
		outer.Attrs["a"] != "b" || outer.Part != "ingest" || !outer.Begin.Equal(at) || !outer.End.Equal(at.Add(3)) || outer.Failure != "" {
		t.Errorf("the outer span is %+v", outer)
	}
	if inner.Trace != outer.Trace || inner.Parent != outer.ID || inner.Failure != "no answer" || inner.Attrs["n"] != "7" ||
		len(inner.Links) != 1 || inner.Links[0] != sender[36:52] {
		t.Errorf("the inner span is %+v", inner)
	}
	if c.Header("Api-Key") != "a b" || c.Header("X") != "y" {
		t.Errorf("headers %q and %q", c.Header("Api-Key"), c.Header("X"))
	}
	if n := spans(r); n["sent"] != 2 || n["failed"]+n["dropped"] != 0 {
		t.Errorf("counted %v", n)
	}
}

// Spans go out by themselves, without anybody's end.
func TestSpansAreSentSoon(t *testing.T) {
	c := collector(t)
	tr, _, _ := tracer(t, tracing.Exporting{TracesEndpoint: c.URL()})
	tr.Begin(tracing.Beginning{Name: "x", At: at}).End(at, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.WaitFor(ctx, func(s []tracingtest.Span) bool { return len(s) == 1 }); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutAnEndpointNothingIsDone(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := prometheus.NewRegistry()
	tr, err := tracing.New(tracing.Exporting{TracesSampler: "always_on"}, tracing.Options{Metrics: r})
	if tr != nil || err != nil {
		t.Fatalf("a tracer: %v, %v", tr, err)
	}
	if n := testutil.CollectAndCount(r); n != 0 {
		t.Errorf("%d figures without traces", n)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		s := tr.For("x").Begin(tracing.Beginning{Name: "x", At: at})
		inner := s.Child(tracing.Beginning{Name: "y"})
		inner.End(at, "")
		if tracing.From(tracing.With(ctx, s)) != nil || s.Context() != "" || tr.SamplesAll() {
			t.Error("a span")
		}
		s.End(at, "")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tr.Close()
}

// A collector that hangs, fails or is not there costs who ends a span nothing, and who stops a second.
func TestABadCollectorSlowsNobody(t *testing.T) {
	nowhere, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*tracingtest.Collector) (endpoint string){
		"hangs":   func(c *tracingtest.Collector) string { c.Hang(); return c.URL() },
		"fails":   func(c *tracingtest.Collector) string { c.Answer(http.StatusInternalServerError); return c.URL() },
		"refuses": func(*tracingtest.Collector) string { return "http://" + nowhere },
	} {
		t.Run(name, func(t *testing.T) {
			c := collector(t)
			tr, r, log := tracer(t, tracing.Exporting{TracesEndpoint: spoil(c)})
			const n = 50_000 // more than can wait
			begun := time.Now()
			for range n {
				tr.Begin(tracing.Beginning{Name: "x", At: at}).End(at, "")
			}
			ended := time.Now()
			tr.Close()
			if took := ended.Sub(begun) / n; took > time.Millisecond {
				t.Errorf("a span took %v", took)
			}
			if took := time.Since(ended); took > 3*time.Second {
				t.Errorf("the end took %v", took)
			}
			tr.Begin(tracing.Beginning{Name: "late", At: at}).End(at, "")
			got := spans(r)
			if got["failed"]+got["dropped"] != n+1 || got["sent"] != 0 {
				t.Errorf("counted %v of %d", got, n+1)
			}
			if s := log.String(); strings.Count(s, "\n") != 1 || strings.Contains(s, "http://") {
				t.Errorf("logged:\n%s", s)
			}
		})
	}
}

func TestACollectorThatIsBackGetsTraces(t *testing.T) {
	c := collector(t)
	tr, r, log := tracer(t, tracing.Exporting{TracesEndpoint: c.URL()})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c.Answer(http.StatusServiceUnavailable)
	tr.Begin(tracing.Beginning{Name: "lost", At: at}).End(at, "")
	if err := c.WaitForRequest(ctx, 0); err != nil {
		t.Fatal(err)
	}
	c.Answer(http.StatusOK)
	tr.Begin(tracing.Beginning{Name: "found", At: at}).End(at, "")
	tr.Close()
	all := c.Spans()
	if len(all) != 1 || all[0].Name != "found" {
		t.Errorf("%+v arrived", all)
	}
	if n := spans(r); n["sent"] != 1 || n["failed"] != 1 || n["dropped"] != 0 {
		t.Errorf("counted %v", n)
	}
	if s := log.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "takes traces again") {
		t.Errorf("logged:\n%s", s)
	}
}

func TestWhatIsATraceparent(t *testing.T) {
	for text, good := range map[string]bool{
		sender: true, "": false, sender[:54]: false, sender + "-x": false,
		"cc" + sender[2:]: true, "cc" + sender[2:] + "-more": true, "cc" + sender[2:] + "more": false, "ff" + sender[2:]: false,
		"0x" + sender[2:]:       false,
		strings.ToUpper(sender): false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":  false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":  false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz":  false,
		"00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01":  false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ": false,
	} {
		if got := tracing.Parse(text); (got != "") != good || good && len(got) != len(sender) {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

func TestSamplers(t *testing.T) {
	unsampled := tracing.Parse(sender[:53] + "00")
	for _, tt := range []struct {
		sampler, arg        string
		root, yes, no, asks bool // kept: without a parent, with one that is sampled, with one that is not; SamplesAll
	}{
		{root: true, yes: true},
		{sampler: "always_on", root: true, yes: true, no: true, asks: true},
		{sampler: "always_off", asks: true},
		{sampler: "traceidratio", arg: "0", asks: true},
		{sampler: "traceidratio", root: true, yes: true, no: true, asks: true},
		{sampler: "parentbased_always_on", root: true, yes: true, asks: true},
		{sampler: "parentbased_always_off", yes: true, asks: true},
		{sampler: "parentbased_traceidratio", arg: "0.0", yes: true, asks: true},
	} {
		t.Run(fmt.Sprint(tt.sampler, tt.arg), func(t *testing.T) {
			c := collector(t)
			tr, _, _ := tracer(t, tracing.Exporting{TracesEndpoint: c.URL(), TracesSampler: tt.sampler, TracesSamplerArg: tt.arg})
			kept := func(p tracing.Context) bool { return tr.Begin(tracing.Beginning{Name: "x", Parent: p}) != nil }
			if kept("") != tt.root || kept(sender) != tt.yes || kept(unsampled) != tt.no || tr.SamplesAll() != tt.asks {
				t.Errorf("without a parent %v, sampled %v, not sampled %v, all %v", kept(""), kept(sender), kept(unsampled), tr.SamplesAll())
			}
		})
	}
}

func TestWhatIsNotAllowed(t *testing.T) {
	good := tracing.Exporting{TracesEndpoint: "https://collector:4318/otlp", TracesProtocol: "http/protobuf", TracesTimeout: 100}
	if err := good.CheckExporting(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*tracing.Exporting){
		"OTEL_EXPORTER_OTLP_ENDPOINT":   func(e *tracing.Exporting) { e.TracesEndpoint = "collector:4318" },
		"hold no password":              func(e *tracing.Exporting) { e.TracesEndpoint = "http://a:secret@collector:4318" },
		"OTEL_EXPORTER_OTLP_PROTOCOL":   func(e *tracing.Exporting) { e.TracesProtocol = "grpc" },
		"OTEL_EXPORTER_OTLP_TIMEOUT":    func(e *tracing.Exporting) { e.TracesTimeout = -1 },
		"OTEL_EXPORTER_OTLP_HEADERS":    func(e *tracing.Exporting) { e.TracesHeaders = "secret" },
		"OTEL_RESOURCE_ATTRIBUTES":      func(e *tracing.Exporting) { e.TracesAttributes = "a=%zz" },
		"OTEL_TRACES_SAMPLER=":          func(e *tracing.Exporting) { e.TracesSampler = "jaeger_remote" },
		"OTEL_TRACES_SAMPLER_ARG=many ": func(e *tracing.Exporting) { e.TracesSamplerArg = "many" },
		"OTEL_TRACES_SAMPLER_ARG=1.5 ":  func(e *tracing.Exporting) { e.TracesSamplerArg = "1.5" },
	} {
		e := good
		spoil(&e)
		err := e.CheckExporting()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", want, err)
		}
		e.TracesEndpoint = ""
		if err := e.CheckExporting(); err != nil {
			t.Errorf("without an endpoint: %v", err)
		}
	}
}
