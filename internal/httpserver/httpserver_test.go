package httpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/httpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run serves h until the returned function is called, which returns what Run did.
func run(t *testing.T, h http.Handler) (url string, stop func() error) {
	t.Helper()
	s, err := httpserver.New("127.0.0.1:0", h, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return "http://" + s.Addr().String(), func() error { cancel(); return <-done }
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestARequestAtHandIsAnsweredWhenTheServerStops(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	url, stop := run(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	answered := make(chan string, 1)
	go func() { _, body := get(t, url); answered <- body }()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(finish)
	if body := <-answered; body != "done" {
		t.Errorf("answered %q", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// A proxy learns from /readyz that a server stops, and until it does its requests are served.
func TestBehindAProxyNoRequestMeetsAClosedListener(t *testing.T) {
	health := httpserver.NewHealth()
	r := chi.NewRouter()
	health.Mount(r)
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	s, err := httpserver.New("127.0.0.1:0", health.Closing(r), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	const linger = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	closing, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.RunBehindProxy(ctx, health, linger, func() { close(closing) }) }()
	url := "http://" + s.Addr().String()
	ask := func(path string) (int, bool) {
		t.Helper()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Close
	}
	defer http.DefaultClient.CloseIdleConnections()
	if status, closed := ask("/"); status != http.StatusOK || closed {
		t.Errorf("running: %d, closed %v", status, closed)
	}
	begun := time.Now()
	cancel()
	for {
		if status, _ := ask("/readyz"); status == http.StatusServiceUnavailable {
			break
		}
	}
	select {
	case <-closing:
		t.Error("closed while proxies may still send")
	default:
	}
	if status, closed := ask("/"); status != http.StatusOK || !closed {
		t.Errorf("drained: %d, closed %v, want an answer and no further use of the connection", status, closed)
	}
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
	if served := time.Since(begun); served < linger {
		t.Errorf("served for %v, want %v", served, linger)
	}
	<-closing
}

func TestAHungRequestDoesNotHoldTheStop(t *testing.T) {
	began := make(chan struct{})
	url, stop := run(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	conn, err := net.Dial("tcp", url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-began
	at := time.Now()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(at); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestReadinessNamesTheBrokenPart(t *testing.T) {
	var broken error
	h := httpserver.NewHealth(
		httpserver.Check{Name: "NATS", Run: func(context.Context) error { return nil }},
		httpserver.Check{Name: "database", Run: func(context.Context) error { return broken }},
	)
	r := chi.NewRouter()
	h.Mount(r)
	url, stop := run(t, r)
	defer func() { _ = stop() }()
	want := func(path string, code int, body string) {
		t.Helper()
		if c, b := get(t, url+path); c != code || b != body {
			t.Errorf("%s: %d %q, want %d %q", path, c, b, code, body)
		}
	}
	want("/readyz", 200, "ok\n")
	broken = errors.New("connection refused")
	want("/readyz", 503, "database: connection refused\n")
	want("/healthz", 200, "ok\n")
	h.Drain()
	want("/readyz", 503, "database: connection refused\nstopping\n")
}

func TestOthersAreToldTheNameOfTheBrokenPartAlone(t *testing.T) {
	h := httpserver.NewHealth(httpserver.Check{Name: "database", Run: func(context.Context) error {
		return errors.New("10.1.2.3 refuses")
	}})
	r := chi.NewRouter()
	h.Mount(r)
	ask := func(handler http.Handler, peer, forwarded string) string {
		req := httptest.NewRequest(http.MethodGet, "/readyz", nil)
		req.RemoteAddr = peer
		if forwarded != "" {
			req.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		return w.Body.String()
	}
	const public, whole = "database\n", "database: 10.1.2.3 refuses\n"
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.7:1", "", public}, {"127.0.0.1:1", "", whole}, {"[::1]:1", "", whole}, {"127.0.0.1:1", "203.0.113.7", public},
	} {
		if got := ask(r, c.peer, c.forwarded); got != c.want {
			t.Errorf("%s (for %q) was told %q, want %q", c.peer, c.forwarded, got, c.want)
		}
	}
	if got := ask(httpserver.NewOps(h, http.NotFoundHandler()), "203.0.113.7:1", ""); got != whole {
		t.Errorf("the port for machines told %q", got)
	}
}

func TestSwitchAnswersBeforeAndAfter(t *testing.T) {
	s, err := httpserver.NewSwitch("127.0.0.1:0", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	url := "http://" + s.Addr().String()
	if code, _ := get(t, url); code != http.StatusServiceUnavailable {
		t.Errorf("before Serve: %d", code)
	}
	s.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if code, _ := get(t, url); code != http.StatusTeapot {
		t.Errorf("after Serve: %d", code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnAnswerWithoutAnEndHearsOfTheStop(t *testing.T) {
	began := make(chan struct{})
	url, stop := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-httpserver.Draining(r.Context())
		_, _ = io.WriteString(w, "the end")
	}))
	answered := make(chan string, 1)
	go func() { _, body := get(t, url); answered <- body }()
	<-began
	before := time.Now()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if body, took := <-answered, time.Since(before); body != "the end" || took > 2500*time.Millisecond {
		t.Errorf("answered %q, stopped after %v", body, took)
	}
}
