package web

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// noon is when tests that hold the clock take place.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) node.Stamp { return node.Stamp(noon.Add(-d).UnixNano()) }

// fakeStore is a Reader over a slice.
type fakeStore struct {
	mu     sync.Mutex
	nodes  []node.Node
	status nodestore.Status
	events []nodestore.StoredEvent // oldest first
	fakePast
	err     error
	queries int           // calls of Nodes
	widest  int           // the most nodes that one of them answered
	gate    chan struct{} // when not nil, Nodes waits for it to be closed
}

func newFakeStore(nodes ...node.Node) *fakeStore {
	slices.SortFunc(nodes, func(a, b node.Node) int { return cmp.Compare(a.ID, b.ID) })
	return &fakeStore{nodes: nodes, status: healthy()}
}

// healthy is a monitor that nothing can be said of.
func healthy() nodestore.Status {
	return nodestore.Status{
		Term: 1, Owner: "evaluator-1", CommittedAge: time.Second,
		Clock: node.Clock{
			Position: node.Position{Epoch: 1, Seq: 10},
			Settings: node.Settings{Threshold: 3 * time.Minute, MaxNodes: 100},
		},
		Chats: []nodestore.ChatStatus{{Chat: "-1001234567890", Active: true}},
	}
}

func (f *fakeStore) change(do func(f *fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

func (f *fakeStore) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queries
}

func (f *fakeStore) Nodes(ctx context.Context, q nodestore.NodeQuery) ([]node.Node, error) {
	f.mu.Lock()
	f.queries++
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	nodes, err := selectFake(f.nodes, q)
	f.widest = max(f.widest, len(nodes))
	return nodes, err
}

func (f *fakeStore) Events(_ context.Context, nodeID string, limit int) ([]nodestore.StoredEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []nodestore.StoredEvent
	for i := len(f.events) - 1; i >= 0 && len(out) < limit; i-- {
		if nodeID == "" || f.events[i].NodeID == nodeID {
			out = append(out, f.events[i])
		}
	}
	return out, f.err
}

// selectFake is what the contract says of NodeQuery, in a simple way.
func selectFake(nodes []node.Node, q nodestore.NodeQuery) (out []node.Node, err error) {
	value, id, err := q.Order.SplitKey(q.After)
	if err != nil && q.After != "" {
		return nil, err
	}
	rank := func(n *node.Node) int64 {
		switch q.Order {
		case nodestore.OrderWorst:
			return int64(nodestore.Rank(n.State))
		case nodestore.OrderSince:
			return int64(n.Since)
		case nodestore.OrderHeard:
			return int64(n.Heard)
		}
		return 0
	}
	compare := func(a int64, aID string, b int64, bID string) int {
		c := cmp.Or(cmp.Compare(a, b), strings.Compare(aID, bID))
		if q.Reverse {
			return -c
		}
		return c
	}
	for i := range nodes {
		n := &nodes[i]
		after, _ := value.(int64)
		switch {
		case q.ID != "" && n.ID != q.ID:
		case len(q.States) > 0 && !slices.Contains(q.States, n.State):
		case q.After != "" && compare(rank(n), n.ID, after, id) <= 0:
		case !slices.ContainsFunc(searchable(n, q.NoAddresses), func(s string) bool {
			return strings.Contains(strings.ToLower(s), strings.ToLower(q.Search))
		}):
		default:
			out = append(out, *n)
		}
	}
	slices.SortFunc(out, func(a, b node.Node) int { return compare(rank(&a), a.ID, rank(&b), b.ID) })
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, nil
}

func searchable(n *node.Node, noAddresses bool) []string {
	if noAddresses {
		return []string{n.ID, n.Name, n.Reason}
	}
	return []string{n.ID, n.Name, n.Reason, n.IP, n.Meta}
}

// fakePast is what a fake store knows of the past.
type fakePast struct {
	annotations []node.Annotation
	tellings    []nodestore.ToldAlert
	turns       map[string][]node.Event
	spans       []node.Span
	incidents   []nodestore.Incident
	samples     []nodestore.Sample
}

func (f *fakeStore) Transitions(_ context.Context, ids []string, _ node.Stamp) (map[string][]node.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string][]node.Event)
	for _, id := range ids {
		out[id] = f.turns[id]
	}
	return out, f.err
}

func (f *fakeStore) BlindSpans(context.Context, node.Stamp) ([]node.Span, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spans, f.err
}

func (f *fakeStore) Incidents(_ context.Context, q nodestore.IncidentQuery) (out []nodestore.Incident, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.After == "nonsense" {
		return nil, nodestore.ErrAfter
	}
	begun := q.After == ""
	for _, i := range f.incidents {
		if begun && (q.NodeID == "" || i.NodeID == q.NodeID) && (!q.OpenOnly || i.Ended == 0) && len(out) < q.Limit {
			out = append(out, i)
		}
		begun = begun || i.Key == q.After
	}
	return out, f.err
}

func (f *fakeStore) Samples(_ context.Context, id string, since node.Stamp) (out []nodestore.Sample, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.samples {
		if s.NodeID == id && s.At >= since {
			out = append(out, s)
		}
	}
	return out, f.err
}

func (f *fakeStore) Annotations(_ context.Context, id string, _ int) (out []node.Annotation, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.annotations {
		if a.NodeID == id {
			out = append(out, a)
		}
	}
	return out, f.err
}

func (f *fakeStore) Status(context.Context, int) (nodestore.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.Counts = map[node.State]int{}
	for _, n := range f.nodes {
		status.Counts[n.State]++
	}
	return status, f.err
}

func (f *fakeStore) Tellings(context.Context, string, int) ([]nodestore.ToldAlert, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tellings, f.err
}

func (f *fakeStore) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// newService makes a service whose clock stands at noon, unless change says otherwise.
func newService(t testing.TB, store nodestore.Reader, change ...func(o *Options)) *Service {
	t.Helper()
	o := Options{Store: store, Log: zerolog.Nop(), Now: func() time.Time { return noon }}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, bench := t.(*testing.B); !bench {
		testOf.Store(s, t)
		t.Cleanup(func() { testOf.Delete(s) })
	}
	return s
}

// do sends one request; headers are name, value, name, value.
func do(s *Service, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	isDescribed(s, r, w)
	return w
}

// isDescribed holds an answer against the document of the API.
func isDescribed(s *Service, r *http.Request, w *httptest.ResponseRecorder) {
	t, ok := testOf.Load(s)
	if !ok {
		return
	}
	if err := api().check(r, w); err != nil {
		t.(testing.TB).Errorf("the answer is not as described: %v", err)
	}
}

// testOf is the test that made a service.
var testOf sync.Map

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func wantText(t *testing.T, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("%q is missing in:\n%s", text, w.Body)
		}
	}
}

func wantDetail(t *testing.T, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	wantStatus(t, w, status)
	if got, want := strings.TrimSpace(w.Body.String()), `{"detail":"`+text+`"}`; got != want {
		t.Errorf("body %s, want %s", got, want)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

// sample is one node of each kind.
func sample() []node.Node {
	return []node.Node{
		{
			ID: "alpha", IP: "10.0.0.1", Meta: "rack 1", State: node.Up, Told: node.Up,
			Since: ago(time.Hour), Joined: ago(24 * time.Hour), Heard: ago(12 * time.Second),
			Interval: time.Minute, AgentVersion: "1.2.0", OS: "linux", Arch: "amd64",
		},
		{
			ID: "bravo", Name: "Big <one>", IP: "2001:db8::7", State: node.Down, Told: node.Down,
			Reason: "port_closed_3000", Evidence: "dial tcp 127.0.0.1:3000: connection refused",
			Since: ago(5 * time.Minute), Incident: ago(5 * time.Minute), Joined: ago(48 * time.Hour), Heard: ago(3 * time.Second),
			Threshold: 10 * time.Minute,
		},
		{
			ID: "charlie", IP: "", Meta: `say "hi" \ Привет`, State: node.Lost, Told: node.Lost, Reason: node.ReasonSilent,
			Since: ago(2 * time.Hour), Incident: ago(2 * time.Hour), Joined: ago(72 * time.Hour), Heard: ago(2*time.Hour + 3*time.Minute),
		},
		{
			ID: "delta", IP: "10.0.0.4", State: node.Lost, Told: node.Down, Reason: node.ReasonDeaf,
			Since: ago(time.Minute), Incident: ago(time.Hour), Joined: ago(2 * time.Hour), Heard: ago(4 * time.Minute),
		},
		{
			ID: "echo", IP: "10.0.0.5", State: node.Degraded, Told: node.Degraded, Reason: "gpu_hot", Evidence: "GPU 0: 91 °C",
			Since: ago(30 * time.Second), Incident: ago(30 * time.Second), Joined: ago(time.Hour), Heard: ago(-2 * time.Second),
			Interval: 10 * time.Minute,
		},
	}
}

// logLines collects the log.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) to(o *Options) { o.Log = zerolog.New(l) }

// want checks how many lines there are, and what the last one says.
func (l *logLines) want(t *testing.T, n int, last ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) != n {
		t.Fatalf("%d log lines, want %d: %v", len(l.lines), n, l.lines)
	}
	for _, text := range last {
		if !strings.Contains(l.lines[n-1], text) {
			t.Errorf("the log says %s, want %q", l.lines[n-1], text)
		}
	}
}
