package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
)

// lived makes a store in which alpha is up for an hour, bravo was down for ten minutes and is up again, and charlie is
// down since five minutes. It returns the service and when all this is.
func lived(t *testing.T) (*Service, nodestore.Store, time.Time) {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "monitor.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	var messages []node.Message
	for d := time.Hour; d >= 0; d -= 10 * time.Second {
		m := node.Message{Seq: uint64(len(messages) + 1), Stamp: node.Stamp(now.Add(-d).UnixNano())}
		if d%time.Minute == 0 {
			bravo, charlie := node.Heartbeat{NodeID: "b/ra vo"}, node.Heartbeat{NodeID: "charlie", Meta: "=1+1"}
			if d <= 30*time.Minute && d > 20*time.Minute {
				bravo.Status, bravo.Reason, bravo.Evidence = "DOWN", "no_p2pd", "p2pd is gone"
			}
			if d <= 5*time.Minute {
				charlie.Status, charlie.Reason = "DOWN", "port_closed_3000"
			}
			m.Heartbeats = []node.Heartbeat{{
				NodeID: "alpha", IP: "10.0.0.1", Metrics: `{"cpus":4}`, Workload: `{"round":7}`,
				Annotations: []node.Annotation{{At: m.Stamp, Status: "DOWN", Reason: "no_process", Evidence: "gone"}},
			}, bravo, charlie}
		}
		messages = append(messages, m)
	}
	fold(t, store, messages...)
	return newService(t, store, func(o *Options) { o.Now = func() time.Time { return now } }), store, now
}

func decoded[T any](t *testing.T, s *Service, target string) (out T) {
	t.Helper()
	w := do(s, "GET", target)
	wantStatus(t, w, 200)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

func TestANodeAndItsPast(t *testing.T) {
	s, _, now := lived(t)
	type document struct {
		legacyNode
		nodeMore
		State string `json:"state"`
	}
	alpha := decoded[document](t, s, "/api/nodes/alpha?samples=7d")
	if alpha.NodeID != "alpha" || alpha.IP != "10.0.0.1" || alpha.State != "up" || alpha.AgeSec != 0 || alpha.Incident != nil {
		t.Errorf("%+v", alpha)
	}
	if string(alpha.Metrics) != `{"cpus":4}` || string(alpha.Workload) != `{"round":7}` || len(alpha.Annotations) != 61 || alpha.Annotations[0].Reason != "no_process" {
		t.Errorf("%s %s %d annotations", alpha.Metrics, alpha.Workload, len(alpha.Annotations))
	}
	if u := alpha.Uptime["24h"]; u.Share == nil || *u.Share != 1 || u.Up != 3600 || u.Absent != 23*3600 {
		t.Errorf("alpha %+v", u)
	}
	bravo := decoded[document](t, s, "/api/nodes/b/ra%20vo")
	if u := bravo.Uptime["7d"]; u.Down != 600 || u.Up != 3000 || *u.Share < 0.83 || *u.Share > 0.84 {
		t.Errorf("bravo %+v", u)
	}
	var kinds []string
	for _, e := range bravo.Events {
		kinds = append(kinds, fmt.Sprintf("%s %s>%s %s %d", e.Kind, e.From, e.To, e.Reason, e.At-now.Unix()))
	}
	if got := strings.Join(kinds, ", "); got != "changed down>up  -1200, changed up>down no_p2pd -1800, joined >up  -3600" {
		t.Errorf("events %s", got)
	}
	if bravo.Events[0].Lasted != 600 || bravo.Events[1].Evidence != "p2pd is gone" {
		t.Errorf("%+v", bravo.Events)
	}
	if c := decoded[document](t, s, "/api/nodes/charlie"); c.Incident == nil || *c.Incident != now.Unix()-300 || len(c.Samples) != 0 {
		t.Errorf("%+v", c)
	}
	wantDetail(t, do(s, "GET", "/api/nodes/bravo"), http.StatusNotFound, "no such node")
	wantDetail(t, do(s, "GET", "/api/nodes/"), http.StatusNotFound, "no such node")
	wantDetail(t, do(s, "GET", "/api/nodes/alpha?samples=1y"), http.StatusBadRequest, "samples: must be 24h or 7d")
}

func TestIncidentsOfTheAPI(t *testing.T) {
	s, store, now := lived(t)
	if _, err := store.Acknowledge(t.Context(), "charlie", node.Stamp(now.Add(-5*time.Minute).UnixNano()), "ann"); err != nil {
		t.Fatal(err)
	}
	all := decoded[[]incidentJSON](t, s, "/api/incidents")
	if len(all) != 2 || all[0].NodeID != "charlie" || all[0].Ended != nil || all[0].Lasted != 300 || all[0].Acknowledged == nil || all[0].Acknowledged.By != "ann" {
		t.Fatalf("%+v", all)
	}
	if b := all[1]; b.NodeID != "b/ra vo" || b.State != "down" || *b.Reason != "no_p2pd" || *b.Ended-b.Began != 600 || b.Lasted != 600 {
		t.Errorf("%+v", b)
	}
	for query, want := range map[string]string{"?open=true": "charlie", "?open=0": "charlie b/ra vo", "?node=b/ra+vo": "b/ra vo", "?node=alpha": ""} {
		var ids []string
		for _, i := range decoded[[]incidentJSON](t, s, "/api/incidents"+query) {
			ids = append(ids, i.NodeID)
		}
		if strings.Join(ids, " ") != want {
			t.Errorf("%s: %q, want %q", query, ids, want)
		}
	}
	w := do(s, "GET", "/api/incidents?limit=1")
	next := strings.TrimSuffix(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
	if rest := decoded[[]incidentJSON](t, s, next); len(rest) != 1 || rest[0].NodeID != "b/ra vo" || do(s, "GET", next).Header().Get("Link") != "" {
		t.Errorf("after %s: %+v", next, rest)
	}
	rows := readCSV(t, do(s, "GET", "/api/incidents", "Accept", "text/csv").Body.String())
	if len(rows) != 2 || rows[0]["node_id"] != "charlie" || rows[0]["ended"] != "" || rows[0]["acknowledged_by"] != "ann" ||
		rows[1]["began"] != now.Add(-30*time.Minute).UTC().Format(time.RFC3339) || rows[1]["lasted_sec"] != "600" || rows[1]["evidence"] != "p2pd is gone" {
		t.Errorf("%v", rows)
	}
	for query, want := range map[string]string{
		"?open=maybe": "open: must be true or false", "?limit=0": "limit: must be a whole number from 1 to 1000",
		"?limit=1001": "limit: must be a whole number from 1 to 1000", "?after=nowhere": "after: must be what the Link of an answer says",
		"?format=xml": "format: must be json or csv",
	} {
		wantDetail(t, do(s, "GET", "/api/incidents"+query), http.StatusBadRequest, want)
	}
}

// TestThePublicSeesNoAddresses, and not who looks after the nodes.
func TestThePublicSeesNoAddresses(t *testing.T) {
	_, store, now := lived(t)
	fold(t, store, node.Message{Seq: 1000, Stamp: node.Stamp(now.UnixNano()), Heartbeats: []node.Heartbeat{{
		NodeID: "alpha", IP: "203.0.113.9", Status: "DOWN", Reason: "x", Evidence: "dial 203.0.113.9:3000", Metrics: `{"host":"secret-host"}`,
		Annotations: []node.Annotation{{At: node.Stamp(now.UnixNano()), Status: "UP", Evidence: "from 203.0.113.9"}},
	}}})
	if _, err := store.Acknowledge(t.Context(), "alpha", node.Stamp(now.UnixNano()), "ann"); err != nil {
		t.Fatal(err)
	}
	as := func(public bool) *Service {
		return newService(t, store, func(o *Options) {
			o.Now, o.PublicView, o.AdminToken = func() time.Time { return now }, public, adminToken
		})
	}
	for _, target := range []string{"/api/nodes", "/api/nodes?format=csv", "/api/nodes/alpha", "/api/incidents", "/api/incidents?format=csv", "/api/stats"} {
		secrets := []string{"203.0.113.9", "secret-host", `"ann"`, `"owner"`, `"chat"`}
		public, private := do(as(true), "GET", target), do(as(true), "GET", target, "Authorization", "Bearer "+adminToken)
		wantStatus(t, public, 200)
		seen := 0
		for _, secret := range secrets {
			if strings.Contains(public.Body.String(), secret) {
				t.Errorf("%s shows everybody %s:\n%s", target, secret, public.Body)
			}
			if strings.Contains(private.Body.String(), secret) {
				seen++
			}
		}
		if seen == 0 {
			t.Errorf("%s shows nothing to who may see it:\n%s", target, private.Body)
		}
		if tag := public.Header().Get("ETag"); tag != "" && tag == private.Header().Get("ETag") {
			t.Errorf("%s: both have the tag %s", target, tag)
		}
	}
	if got := do(as(true), "GET", "/api/nodes?q=203.0.113").Body.String(); strings.Contains(got, "alpha") {
		t.Error("an address that is hidden is found")
	}
}

// manyIncidents answers as a store with very many of them.
type manyIncidents struct {
	*fakeStore
	n     int
	asked []int
}

func (m *manyIncidents) Incidents(_ context.Context, q nodestore.IncidentQuery) (out []nodestore.Incident, err error) {
	m.asked = append(m.asked, q.Limit)
	from := 0
	if q.After != "" {
		_, err = fmt.Sscan(q.After, &from)
	}
	for i := from + 1; i <= m.n && len(out) < q.Limit; i++ {
		out = append(out, nodestore.Incident{Key: fmt.Sprint(i), NodeID: fmt.Sprint("n", i), State: node.Down, Began: ago(time.Hour)})
	}
	return out, err
}

// TestAFileOfIncidentsHoldsAll, read in steps; a page of the API never more than it was asked for.
func TestAFileOfIncidentsHoldsAll(t *testing.T) {
	store := &manyIncidents{fakeStore: newFakeStore(), n: 2500}
	s := newService(t, store)
	w := do(s, "GET", "/api/incidents?format=csv")
	if rows := readCSV(t, strings.TrimPrefix(w.Body.String(), byteOrderMark)); len(rows) != 2500 || rows[2499]["node_id"] != "n2500" || w.Header().Get("Link") != "" {
		t.Errorf("%d rows, Link %q", len(rows), w.Header().Get("Link"))
	}
	for _, limit := range store.asked {
		if limit > incidentsAhead {
			t.Errorf("%d were asked for at once", limit)
		}
	}
	for _, n := range []int{1, 999, 1000} {
		w := do(s, "GET", fmt.Sprint("/api/incidents?limit=", n))
		if got := strings.Count(w.Body.String(), "node_id"); got != n || !strings.Contains(w.Header().Get("Link"), fmt.Sprintf("after=%d&", n)) {
			t.Errorf("limit %d: %d incidents, Link %q", n, got, w.Header().Get("Link"))
		}
	}
}

func TestStats(t *testing.T) {
	store := newFakeStore(sample()...)
	store.status.Clock.Refused, store.status.Clock.Overflow, store.status.Clock.Deaf = map[string]int{"401": 412}, 9, true
	store.status.Clock.Position.Stamp = ago(2 * time.Second)
	store.status.Chats[0].LastError, store.status.Chats[0].Waiting, store.status.Chats[0].Oldest = "chat not found", 4, noon.Add(-time.Minute)
	s := newService(t, store)
	s.Process([]byte(`{"v":1,"service":"web","id":"web-1","version":"1.2.3","started":1772359200}`))
	got := decoded[statsJSON](t, s, "/api/stats")
	if want := []processJSON{{"web", "web-1", "1.2.3", 1772359200, noon.Unix()}}; !slices.Equal(got.Processes, want) {
		t.Errorf("processes %+v", got.Processes)
	}
	if got.Nodes != 5 || got.Counts["up"] != 1 || got.Counts["lost"] != 2 || got.Counts["down"] != 1 || !got.Deaf || got.Overflow != 9 ||
		got.Refused["401"] != 412 || *got.CommittedAge != 1 || *got.Behind != 2 || got.Stale != 0 || got.Settings.Threshold != 180 || got.Owner != "evaluator-1" {
		t.Errorf("%+v", got)
	}
	if c := got.Chats[0]; c.Waiting != 4 || *c.LastError != "chat not found" || *c.Oldest != noon.Unix()-60 || c.LastTold != nil {
		t.Errorf("%+v", c)
	}
	store = newFakeStore()
	store.status = nodestore.Status{}
	if got := decoded[statsJSON](t, newService(t, store), "/api/stats"); got.CommittedAge != nil || got.Behind != nil || got.Nodes != 0 {
		t.Errorf("before the first evaluator: %+v", got)
	}
	store.err = nodestore.ErrUnavailable
	for _, target := range []string{"/api/stats", "/api/nodes/a", "/api/incidents", "/api/nodes"} {
		wantDetail(t, do(newService(t, store), "GET", target), http.StatusServiceUnavailable, "the database does not answer")
	}
}

// TestTheAPIIsDescribed: of every operation in the document a good answer was held against it.
func TestTheAPIIsDescribed(t *testing.T) {
	s, _, _ := lived(t)
	s.Process([]byte(`{"v":1,"service":"web","id":"web-1","version":"1.2.3","started":1772359200}`))
	for _, target := range []string{"/api/nodes", "/api/nodes/alpha?samples=24h", "/api/incidents", "/api/stats", openAPIPath, "/badge.svg", "/badge/b/ra%20vo.svg"} {
		wantStatus(t, do(s, "GET", target), http.StatusOK)
	}
	a := newActed(t)
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/nodes/rig-1", `{"name":"Left","threshold_sec":90,"note":"x"}`, 200},
		{"POST", "/api/silences", `{"scope":"node","value":"rig-1","minutes":5}`, 201},
		{"GET", "/api/silences", "", 200},
		{"DELETE", "/api/silences/1", "", 200},
		{"POST", "/api/acknowledgements", `{"node_id":"rig-1"}`, 200},
		{"POST", "/api/tokens", `{"node_id":"rig-1"}`, 201},
		{"GET", "/api/tokens", "", 200},
		{"DELETE", "/api/tokens/1", "", 202}, // nobody tells ingest here
		{"GET", "/api/audit", "", 200},
		{"DELETE", "/api/nodes/rig-1", "", 200},
	} {
		wantStatus(t, a.call(call.method, call.path, call.body), call.status)
	}
	for path, item := range api().paths {
		for method := range item {
			good := func(status int) bool { return api().seen[fmt.Sprint(strings.ToUpper(method), " ", path, " ", status)] }
			if !good(200) && !good(201) && !good(202) && path != "/api/events" { // which has tests of its own
				t.Errorf("no answer of %s %s was held against the document", method, path)
			}
		}
	}
}
