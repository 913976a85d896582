package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/web"
)

// oneNode is a store with one node; what web does not call panics.
type oneNode struct {
	nodestore.Store
	closed atomic.Bool
}

func (*oneNode) Nodes(context.Context, nodestore.NodeQuery) ([]node.Node, error) {
	return []node.Node{{ID: "alpha", State: node.Up}}, nil
}

func (*oneNode) Status(context.Context, int) (nodestore.Status, error) {
	return nodestore.Status{Term: 1}, nil
}

func (*oneNode) Events(context.Context, string, int) ([]nodestore.StoredEvent, error) {
	return nil, nil
}

func (*oneNode) Transitions(context.Context, []string, node.Stamp) (map[string][]node.Event, error) {
	return nil, nil
}

func (*oneNode) BlindSpans(context.Context, node.Stamp) ([]node.Span, error) { return nil, nil }

func (*oneNode) Ping(context.Context) error { return nil }

func (s *oneNode) Close() error { s.closed.Store(true); return nil }

// logBuffer may be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// addr is the address of the page, once it was logged.
func (l *logBuffer) addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.b.Bytes()) {
		var entry struct{ Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Addr != "" {
			return entry.Addr
		}
	}
	return ""
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
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

func TestThePageComesBeforeDatabaseAndNATS(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer http.DefaultClient.CloseIdleConnections()
	store := &oneNode{}
	var there atomic.Bool
	open := func(context.Context) (nodestore.Store, error) {
		if !there.Load() {
			return nil, fmt.Errorf("%w: connection refused", nodestore.ErrUnavailable)
		}
		return store, nil
	}
	cfg := web.ProcessConfig{
		ListenAddr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", NATSURL: "nats://127.0.0.1:1",
		Config: web.Config{SiteTitle: "Nodes"},
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log logBuffer
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, zerolog.New(&log), open) }()
	eventually(t, "the address is logged", func() bool { return log.addr() != "" })
	url := "http://" + log.addr()

	if status, body := get(t, url+"/"); status != 503 || !strings.Contains(body, "The database does not answer") {
		t.Errorf("/ without a database: %d %s", status, body)
	}
	if status, body := get(t, url+"/readyz"); status != 503 || body != "database: does not answer\n" {
		t.Errorf("/readyz without a database: %d %s", status, body)
	}
	if status, _ := get(t, url+"/healthz"); status != 200 {
		t.Errorf("/healthz without a database: %d", status)
	}

	there.Store(true)
	eventually(t, "the page shows the node", func() bool {
		status, body := get(t, url+"/")
		return status == 200 && strings.Contains(body, "alpha")
	})
	if status, _ := get(t, url+"/readyz"); status != 200 {
		t.Errorf("/readyz: %d", status)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !store.closed.Load() {
		t.Error("the store was not closed")
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	var out, errs bytes.Buffer
	if code := (program.Program{Name: "web", Config: &web.ProcessConfig{}}).Run(t.Context(), []string{"--help"}, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	for _, name := range []string{
		"LISTEN_ADDR", "DATABASE_URL", "SITE_TITLE", "WEB_USERNAME", "WEB_PASSWORD", "ADMIN_TOKEN", "PUBLIC_URL",
		"NATS_URL", "NATS_CREDS_FILE", "METRICS_ADDR", "LOG_LEVEL", "LOG_FORMAT",
	} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("%s is missing in %s", name, &out)
		}
	}
}
