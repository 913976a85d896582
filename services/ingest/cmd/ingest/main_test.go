package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

const patience = 10 * time.Second

// fasthttp keeps the date of its answers, and its idle workers, in goroutines of their own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// output can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestRunWithoutServing(t *testing.T) {
	tests := []struct {
		name           string
		args           []string
		env            map[string]string
		code           int
		stdout, stderr string
	}{
		{"help", []string{"--help"}, nil, 0, `(?s)SHARED_SECRET .*LISTEN_ADDR +:8080`, `^$`},
		{"version", []string{"--version"}, nil, 0, `^\S+\n$`, `^$`},
		{"unknown flag", []string{"-x"}, nil, 2, `^$`, `^ingest: .*-x\n$`},
		{"unknown word", []string{"now"}, nil, 2, `^$`, `^ingest: "now" is not understood; see --help\n$`},
		{"no secret", nil, nil, 2, `^$`, `^ingest: SHARED_SECRET is not set: [^\n]+\n$`},
		{"bad level", nil, map[string]string{"SHARED_SECRET": "correct-horse", "LOG_LEVEL": "loud"}, 2, `^$`, `^ingest: LOG_LEVEL=loud [^\n]+\n$`},
		{"bad address", nil, map[string]string{"SHARED_SECRET": "correct-horse", "LISTEN_ADDR": "nowhere:-1"}, 1, `^$`, `listen on nowhere:-1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SHARED_SECRET", "")
			t.Setenv("METRICS_ADDR", "127.0.0.1:0")
			t.Setenv("NATS_URL", "nats://127.0.0.1:1")
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var stdout, stderr output
			if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("exit status %d, want %d", code, tt.code)
			}
			expect(t, "stdout", stdout.String(), tt.stdout)
			expect(t, "stderr", stderr.String(), tt.stderr)
		})
	}
}

func expect(t *testing.T, what, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%s %q does not match %s", what, got, pattern)
	}
}

// TestStartsBeforeNATS runs the program with nothing to connect to, then starts NATS, then stops the program.
func TestStartsBeforeNATS(t *testing.T) {
	ns := newNATS(t)
	t.Setenv("SHARED_SECRET", "horse")
	t.Setenv("LISTEN_ADDR", "127.0.0.1:0")
	t.Setenv("METRICS_ADDR", "127.0.0.1:0")
	t.Setenv("LOG_FORMAT", "json")
	t.Setenv("NATS_URL", ns.url())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr output
	code := make(chan int, 1)
	go func() { code <- run(ctx, nil, io.Discard, &stderr) }()

	addrs := regexp.MustCompile(`"addr":"([^"]+)","metrics":"([^"]+)"`)
	waitFor(t, "the addresses", func() bool { return addrs.MatchString(stderr.String()) })
	found := addrs.FindStringSubmatch(stderr.String())
	front, ops := "http://"+found[1], "http://"+found[2]
	if status, _ := call(t, http.MethodGet, front+"/healthz"); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	if status, body := call(t, http.MethodGet, front+"/readyz"); status != 503 || !strings.Contains(body, "NATS: ") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, body := call(t, http.MethodPost, front+"/api/heartbeat"); status != 503 {
		t.Errorf("a heartbeat without NATS: %d %s", status, body)
	}

	ns.start(t)
	waitFor(t, "readiness", func() bool {
		status, _ := call(t, http.MethodGet, ops+"/readyz")
		return status == 200
	})
	if status, body := call(t, http.MethodPost, front+"//api/heartbeat"); status != 200 || body != `{"ok":true}` {
		t.Errorf("a heartbeat: %d %s", status, body)
	}
	if status, body := call(t, http.MethodGet, ops+"/metrics"); status != 200 ||
		!strings.Contains(body, `gensyn_ingest_requests_total{status="200"} 1`) {
		t.Errorf("/metrics: %d %s", status, body)
	}

	stop()
	select {
	case got := <-code:
		if got != 0 {
			t.Errorf("exit status %d:\n%s", got, &stderr)
		}
	case <-time.After(patience):
		t.Fatal("the program does not stop")
	}
	log := stderr.String()
	if !strings.Contains(log, "can be guessed") || strings.Contains(log, "horse") {
		t.Errorf("log:\n%s", log)
	}
}

// natsServer is a nats-server whose port is known before it starts.
type natsServer struct{ o *server.Options }

func newNATS(t *testing.T) *natsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return &natsServer{o: &server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
}

func (n *natsServer) url() string { return fmt.Sprintf("nats://%s:%d", n.o.Host, n.o.Port) }

func (n *natsServer) start(t *testing.T) {
	t.Helper()
	ns, err := server.NewServer(n.o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(patience) {
		t.Fatal("nats-server does not start")
	}
}

// call makes a request with a connection of its own; a POST is a heartbeat.
func call(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	req, err := http.NewRequest(method, url, strings.NewReader(`{"node_id":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer horse")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// waitFor looks at a condition until it holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
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
