package ingest

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// natsServer is a nats-server with JetStream inside this process, which can go away and come back.
type natsServer struct {
	t   *testing.T
	dir string
	mu  sync.Mutex
	ns  *server.Server
}

func newNATS(t *testing.T) *natsServer {
	t.Helper()
	n := &natsServer{t: t, dir: t.TempDir()}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	ns, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: n.dir, SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		n.t.Fatal("nats-server does not start")
	}
	n.mu.Lock()
	n.ns = ns
	n.mu.Unlock()
}

func (n *natsServer) stop() {
	n.server().Shutdown()
	n.server().WaitForShutdown()
}

func (n *natsServer) server() *server.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ns
}

// connect returns a bus whose streams exist.
func (n *natsServer) connect(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(bus.Options{Name: "test", InProcess: connector{n}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.EnsureStreams(ctx, 0, bus.StreamLimits{MaxBytes: 32 << 20}); err != nil {
		t.Fatal(err)
	}
	return b
}

// readStream returns the batches in the stream, up to and including the first that holds the node's heartbeat.
func readStream(t *testing.T, b *bus.Bus, last string) []contract.Batch {
	t.Helper()
	r, err := b.Consume(t.Context(), 0, bus.Start{Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	deadline := time.After(patience)
	var out []contract.Batch
	for {
		select {
		case m, open := <-r.Messages():
			if !open {
				t.Fatal("the stream ended: ", r.Err())
			}
			batch, err := contract.DecodeBatch(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, batch)
			if slices.ContainsFunc(batch.Heartbeats, func(h contract.Heartbeat) bool { return h.NodeID == last }) {
				return out
			}
		case <-deadline:
			t.Fatalf("no heartbeat of %s is in the stream", last)
		}
	}
}

// nodes counts the heartbeats of each node.
func nodes(batches []contract.Batch) map[string]int {
	out := make(map[string]int)
	for _, b := range batches {
		for _, h := range b.Heartbeats {
			out[h.NodeID]++
		}
	}
	return out
}

func serveNATS(t *testing.T) (*natsServer, *bus.Bus, *prometheus.Registry, *httptest.Server) {
	t.Helper()
	n := newNATS(t)
	b := n.connect(t)
	registry := prometheus.NewRegistry()
	s := newService(t, Options{Bus: b, Metrics: registry})
	web := listen(t, s)
	start(t, s)
	return n, b, registry, web
}

// TestAcknowledgedIsStored sends a hundred heartbeats together and finds each of them in the stream, in fewer messages.
func TestAcknowledgedIsStored(t *testing.T) {
	const all = 100
	_, b, registry, web := serveNATS(t)
	ready := make(chan struct{})
	var clients sync.WaitGroup
	for i := range all {
		clients.Go(func() {
			<-ready
			status, _, err := send(web.URL, fmt.Sprintf(`{"node_id":"n%d","meta":"<&>"}`, i))
			if err != nil || status != 200 {
				t.Errorf("client %d: %d, %v", i, status, err)
			}
		})
	}
	close(ready)
	clients.Wait()
	if status, _, err := send(web.URL, `{"node_id":"last"}`); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	batches := readStream(t, b, "last")
	got := nodes(batches)
	for i := range all {
		if id := fmt.Sprintf("n%d", i); got[id] != 1 {
			t.Errorf("%s is stored %d times", id, got[id])
		}
	}
	messages := int(counted(t, registry, "gensyn_ingest_batch_heartbeats"))
	if messages > all*3/4 {
		t.Errorf("%d messages for %d heartbeats", messages, all+1)
	}
	waitFor(t, "the durations of all requests", func() bool { // noted after the answer
		return counted(t, registry, "gensyn_ingest_request_seconds") == float64(all+1)
	})
	t.Logf("%d heartbeats in %d messages", all+1, messages)
}

// TestNATSAway shuts NATS down, and brings it back: what was answered 503 meanwhile is not in the stream.
func TestNATSAway(t *testing.T) {
	n, b, _, web := serveNATS(t)
	if status, _, err := send(web.URL, `{"node_id":"before"}`); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	n.stop()
	waitFor(t, "the connection to be gone", func() bool { return b.Ready(t.Context()) != nil })
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			begun := time.Now()
			status, header, err := send(web.URL, fmt.Sprintf(`{"node_id":"away%d"}`, i))
			if err != nil || status != 503 || header.Get("Retry-After") != "5" {
				t.Errorf("client %d: %d, Retry-After %q, %v", i, status, header.Get("Retry-After"), err)
			}
			if took := time.Since(begun); took > maxWait+patience/10 {
				t.Errorf("client %d waited %v", i, took)
			}
		})
	}
	clients.Wait()
	n.start()
	var accepted string
	attempt := 0
	waitFor(t, "an accepted heartbeat", func() bool {
		attempt++
		accepted = fmt.Sprintf("after%d", attempt)
		status, _, err := send(web.URL, fmt.Sprintf(`{"node_id":%q}`, accepted))
		if status != 200 && status != 503 {
			t.Fatal(status, err)
		}
		return status == 200
	})
	got := nodes(readStream(t, b, accepted))
	if got["before"] != 1 || got[accepted] != 1 || len(got) != 2 {
		t.Errorf("stored %v, answered 200: before, %s", got, accepted)
	}
}

// TestStreamMissing has no stream to store in: nobody acknowledges, and nobody gets 200.
func TestStreamMissing(t *testing.T) {
	n := newNATS(t)
	b, err := bus.Connect(bus.Options{Name: "test", InProcess: connector{n}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := newService(t, Options{Bus: b})
	start(t, s)
	w := post(s.Handler(), Path, bearer, `{"node_id":"a"}`)
	expect(t, w, 503, `{"detail":"the heartbeat could not be stored"}`)
	if err := checkNamed(t, s, "stream"); err == nil {
		t.Error("ready without a stream")
	}
}

// connector connects to whichever server runs now.
type connector struct{ n *natsServer }

func (c connector) InProcessConn() (net.Conn, error) { return c.n.server().InProcessConn() }
