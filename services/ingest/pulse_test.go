package ingest

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// until waits until the bus fulfils a condition, which it looks at whenever something happened there.
func (b *fakeBus) until(t *testing.T, what string, ok func(b *fakeBus) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		done := false
		b.set(func(b *fakeBus) { done = ok(b) })
		if done {
			return
		}
		select {
		case <-b.changed:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// listen runs a server with the probes and the handler, like a process does.
func listen(t *testing.T, s *Service) *httptest.Server {
	t.Helper()
	r := chi.NewRouter()
	httpserver.NewHealth().Mount(r)
	r.Handle("/*", s.Handler())
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	if err := s.SetSelf(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return server
}

func checkNamed(t *testing.T, s *Service, name string) error {
	t.Helper()
	for _, c := range s.Checks() {
		if c.Name == name {
			return c.Run(t.Context())
		}
	}
	t.Fatalf("no check is named %q", name)
	return nil
}

// TestPulsesOnlyWhileTheListenerAnswers closes the listener between two pulses.
func TestPulsesOnlyWhileTheListenerAnswers(t *testing.T) {
	var log bytes.Buffer
	b, registry := newFakeBus(), prometheus.NewRegistry()
	s := newService(t, Options{Bus: b, Log: zerolog.New(&log), Metrics: registry})
	server := listen(t, s)
	if checkNamed(t, s, "own address") == nil || checkNamed(t, s, "stream") == nil {
		t.Error("ready before anything is known")
	}
	stop := start(t, s)
	b.until(t, "two pulses", func(b *fakeBus) bool { return len(b.batches) >= 2 })
	for _, c := range s.Checks() {
		if err := c.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	server.Close()
	waitFor(t, "three failed checks", func() bool { return counted(t, registry, "gensyn_ingest_self_check_failures_total") >= 3 })
	pulses := len(b.stored())
	waitFor(t, "two more", func() bool { return counted(t, registry, "gensyn_ingest_self_check_failures_total") >= 5 })
	if got := len(b.stored()); got != pulses {
		t.Errorf("%d pulses while the listener was closed", got-pulses)
	}
	if err := checkNamed(t, s, "own address"); err == nil {
		t.Error("ready although the listener is closed")
	}
	stop()
	if got := strings.Count(log.String(), "no pulses until it does"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, &log)
	}
	for _, batch := range b.stored() {
		if len(batch.Heartbeats) != 0 || batch.Ingest != "ingest-1" {
			t.Errorf("pulse %+v", batch)
		}
	}
	if got := int(counted(t, registry, "gensyn_ingest_pulses_total")); got != len(b.stored()) {
		t.Errorf("%d pulses counted, %d stored", got, len(b.stored()))
	}
}

// counted is the sum of a counter over its labels, or how often a histogram was told something.
func counted(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// waitFor looks at a condition that nothing announces, until it holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestNoPulseWithoutAnAddress(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	start(t, s)
	waitFor(t, "a failed check", func() bool { return errors.Is(s.listening.get(), errNoAddress) })
	if got := len(b.stored()); got != 0 {
		t.Errorf("%d pulses", got)
	}
}

// TestSelfCheckMendsWhileBusy: readiness must come back although heartbeats leave no idle moment.
func TestSelfCheckMendsWhileBusy(t *testing.T) {
	b := newFakeBus()
	s := newService(t, Options{Bus: b})
	listen(t, s)
	s.listens(errors.New("broken"))
	s.commit.start()
	defer s.commit.stop()
	pause := s.pulseOnce(t.Context())
	if err := s.listening.get(); err != nil || pause != pulseAfter {
		t.Errorf("after %v: %v", pause, err)
	}
	if got := len(b.stored()); got != 0 {
		t.Errorf("%d pulses right after a message", got)
	}
	if again := s.pulseOnce(t.Context()); again <= 0 || again >= pulseAfter {
		t.Errorf("next look in %v", again)
	}
}

func TestSelfCheckWantsOK(t *testing.T) {
	tests := map[string]http.HandlerFunc{
		"an error":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"a cut-off":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a wrong program": http.NotFound,
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" { // and 200 elsewhere
				http.Redirect(w, r, "/login", http.StatusFound)
			}
		},
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			c := newSelfCheck()
			if err := c.setAddr(server.Listener.Addr().String()); err != nil {
				t.Fatal(err)
			}
			if err := c.run(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestSelfCheckHangs connects to a listener that nobody serves.
func TestSelfCheckHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newSelfCheck()
	if err := c.setAddr(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := c.run(t.Context()); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begun); took < selfCheckLimit || took > selfCheckLimit+patience {
		t.Errorf("it took %v", took)
	}
}

func TestSelfCheckReachesBindAddresses(t *testing.T) {
	s := newService(t, Options{Bus: newFakeBus()})
	server := listen(t, s)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0:" + port, "[::]:" + port, ":" + port, "127.0.0.1:" + port} {
		if err := s.SetSelf(addr); err != nil {
			t.Fatal(err)
		}
		if err := s.self.run(t.Context()); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := s.SetSelf("nonsense"); err == nil {
		t.Error("no error for nonsense")
	}
}

// TestStoringIsLoggedOnce breaks the bus and mends it, and reads the log.
func TestStoringIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	b := newFakeBus()
	b.err = errors.New("away")
	s := newService(t, Options{Bus: b, Log: zerolog.New(&log)})
	listen(t, s)
	stop := start(t, s)
	b.until(t, "three attempts", func(b *fakeBus) bool { return b.begun >= 3 && b.inFlight == 0 })
	if err := checkNamed(t, s, "stream"); err == nil {
		t.Error("ready although nothing can be stored")
	}
	b.set(func(b *fakeBus) { b.err = nil })
	b.until(t, "a pulse", func(b *fakeBus) bool { return len(b.batches) >= 1 })
	waitFor(t, "readiness", func() bool { return checkNamed(t, s, "stream") == nil })
	stop()
	broken, mended := strings.Count(log.String(), "cannot be stored"), strings.Count(log.String(), "can be stored")
	if broken != 1 || mended != 1 {
		t.Errorf("broke %d times, mended %d times:\n%s", broken, mended, &log)
	}
}
