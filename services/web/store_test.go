package web

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
)

// fold commits messages to a store as the evaluator does.
func fold(t *testing.T, store nodestore.Store, messages ...node.Message) {
	t.Helper()
	settings := node.Settings{Threshold: 3 * time.Minute, MaxNodes: 10}
	lease, err := store.Acquire(t.Context(), 0, "fold-owner", time.Minute, settings)
	if err != nil {
		t.Fatal(err)
	}
	nodes := node.NewLoading()
	snap, err := store.Load(t.Context(), lease, nodes.Add)
	if err != nil {
		t.Fatal(err)
	}
	f := nodes.Fold(0, snap)
	from := f.Position()
	for _, m := range messages {
		f.Apply(m)
	}
	if err := store.Commit(t.Context(), lease, from, f.Take()); err != nil {
		t.Fatal(err)
	}
}

func TestPageOfARealStore(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Now()
	s := newService(t, store, func(o *Options) { o.Now = func() time.Time { return now } })
	w := do(s, "GET", "/")
	wantStatus(t, w, 200)
	wantText(t, w, "No nodes yet", english.Never, english.NotSetUp)

	fold(t, store, node.Message{
		Seq: 1, Stamp: node.Stamp(now.Add(-90 * time.Second).UnixNano()),
		Heartbeats: []node.Heartbeat{{NodeID: "alpha", IP: "10.0.0.1"}, {NodeID: "bravo", Status: "DOWN", Meta: "reason=no_p2pd"}},
	}, node.Message{Seq: 2, Stamp: node.Stamp(now.UnixNano())})
	s.forget()
	w = do(s, "GET", "/?state=down")
	wantStatus(t, w, 200)
	wantText(t, w, "bravo", "p2pd is not running", ">1 min 30 s<", `data-summary="Nodes: 1 down, 1 up"`)
	if got := w.Header().Get("X-Monitor-Stale"); got != "" {
		t.Errorf("fresh data is called stale: %s", got)
	}
	if nodes := getNodes(t, s, ""); len(nodes) != 2 || nodes[0].NodeID != "alpha" || nodes[0].AgeSec != 90 || nodes[1].LastState != "DOWN" {
		t.Errorf("got %+v", nodes)
	}
}
