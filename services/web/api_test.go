package web

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var update = flag.Bool("update", false, "write the golden files")

func TestNodesGolden(t *testing.T) {
	w := do(newService(t, newFakeStore(sample()...)), "GET", "/api/nodes")
	wantStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	const golden = "testdata/nodes.golden.json"
	if *update {
		if err := os.WriteFile(golden, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if w.Body.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
}

// legacyNode is what scripts of users read.
type legacyNode struct {
	NodeID    string  `json:"node_id"`
	IP        string  `json:"ip"`
	LastSeen  int64   `json:"last_seen"`
	Computed  string  `json:"computed"`
	LastState string  `json:"last_state"`
	Meta      *string `json:"meta"`
	AgeSec    int64   `json:"age_sec"`
}

func getNodes(t *testing.T, s *Service, query string) []legacyNode {
	t.Helper()
	w := do(s, "GET", "/api/nodes"+query)
	wantStatus(t, w, http.StatusOK)
	var nodes []legacyNode
	if err := json.Unmarshal(w.Body.Bytes(), &nodes); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return nodes
}

func TestNodesAsScriptsReadThem(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	want := []struct {
		id, computed, said string
		age                int64
	}{
		{"alpha", "UP", "UP", 12},
		{"bravo", "DOWN", "DOWN", 3},
		{"charlie", "DOWN", "UP", 7380},
		{"delta", "DOWN", "DOWN", 240},
		{"echo", "UP", "UP", 0},
	}
	got := getNodes(t, s, "")
	if len(got) != len(want) {
		t.Fatalf("%d nodes", len(got))
	}
	for i, w := range want {
		g := got[i]
		if g.NodeID != w.id || g.Computed != w.computed || g.LastState != w.said || g.AgeSec != w.age {
			t.Errorf("got %+v, want %+v", g, w)
		}
	}
	if got[0].Meta == nil || *got[0].Meta != "rack 1" || got[1].Meta != nil {
		t.Errorf("meta %v %v", got[0].Meta, got[1].Meta)
	}
	if got[0].LastSeen != noon.Unix()-12 {
		t.Errorf("last_seen %d", got[0].LastSeen)
	}
}

func TestNoNodesIsAnEmptyArray(t *testing.T) {
	if got := getNodes(t, newService(t, newFakeStore()), ""); got == nil || len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestNodesParameters(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, tt := range []struct{ query, want string }{
		{"?state=lost", "charlie delta"},
		{"?state=LOST,up", "alpha charlie delta"},
		{"?state=lost&state=up", "alpha charlie delta"},
		{"?state=", "alpha bravo charlie delta echo"},
		{"?q=RACK", "alpha"},
		{"?limit=2", "alpha bravo"},
		{"?limit=2&after=bravo", "charlie delta"},
		{"?after=bz", "charlie delta echo"},
		{"?after=echo", ""},
		{"?limit=1&after=alpha&state=lost,degraded", "charlie"},
		{"?unknown=1", "alpha bravo charlie delta echo"},
	} {
		var got []string
		for _, n := range getNodes(t, s, tt.query) {
			got = append(got, n.NodeID)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.query, got, tt.want)
		}
	}
}

// A small page of very many nodes costs what it shows.
func TestASmallPageReadsNoMoreThanItself(t *testing.T) {
	store := newFakeStore(sample()...)
	s := newService(t, store)
	for _, query := range []string{"?limit=2", "?limit=2&after=bravo", "?limit=1&state=lost"} {
		getNodes(t, s, query)
	}
	if store.widest > 3 { // one more than are shown, to know whether there are more
		t.Errorf("%d nodes were read at a time", store.widest)
	}
}

func TestNodesLinkToTheNextPage(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	if got, want := do(s, "GET", "/api/nodes?limit=2").Header().Get("Link"), `</api/nodes?after=bravo&limit=2>; rel="next"`; got != want {
		t.Errorf("Link %q, want %q", got, want)
	}
	if got := do(s, "GET", "/api/nodes?limit=2&after=charlie").Header().Get("Link"); got != "" {
		t.Errorf("the last page links to %q", got)
	}
}

func TestNodesBadParameters(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for query, want := range map[string]string{
		"?state=broken":                  "state: must be up, degraded, down or lost, or several of them with commas",
		"?limit=0":                       "limit: must be a whole number from 1 to 1000000",
		"?limit=-1":                      "limit: must be a whole number from 1 to 1000000",
		"?limit=ten":                     "limit: must be a whole number from 1 to 1000000",
		"?limit=1000001":                 "limit: must be a whole number from 1 to 1000000",
		"?q=" + strings.Repeat("x", 201): "q: must be at most 200 characters",
		"?q=%zz":                         `the query cannot be read: invalid URL escape \"%zz\"`,
	} {
		wantDetail(t, do(s, "GET", "/api/nodes"+query), http.StatusBadRequest, want)
	}
	wantDetail(t, do(s, "POST", "/api/nodes"), http.StatusMethodNotAllowed, "Method Not Allowed")
	wantDetail(t, do(s, "GET", "/api/other"), http.StatusNotFound, "Not Found")
}

func TestStaleHeader(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *fakeStore)
		want   string
	}{
		{"fresh", func(*fakeStore) {}, ""},
		{"exactly ten seconds", func(f *fakeStore) { f.status.CommittedAge = 10 * time.Second }, ""},
		{"no commit", func(f *fakeStore) { f.status.CommittedAge = 37 * time.Second }, "37"},
		{"no message", func(f *fakeStore) { f.status.Clock.Position.Stamp = ago(45 * time.Second) }, "45"},
		{"no message, for a moment", func(f *fakeStore) { f.status.Clock.Position.Stamp = ago(25 * time.Second) }, ""},
		{"no evaluator yet", func(f *fakeStore) { f.status.Term, f.status.CommittedAge = 0, time.Hour }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newFakeStore(sample()...)
			tt.change(store)
			s := newService(t, store)
			for _, path := range []string{"/", "/?state=up", "/api/nodes"} {
				if got := do(s, "GET", path).Header().Get("X-Monitor-Stale"); got != tt.want {
					t.Errorf("%s: %q, want %q", path, got, tt.want)
				}
			}
		})
	}
}

func TestStrangeTextsAreValidJSON(t *testing.T) {
	texts := []string{`"`, `\`, "\n\t\x00", "<script>alert(1)</script>", "\u2028\u2029", "😀 Привет", "\x7f", "a&b", "half \xf0\x9f"}
	for _, text := range texts {
		var got string
		if err := json.Unmarshal(appendString(nil, text), &got); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(text, "\ufffd\ufffd"); text != got && got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestAnswersAreCompressed(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, path := range []string{"/", "/api/nodes", "/" + s.assets.CSS} {
		if got := do(s, "GET", path, "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "gzip" {
			t.Errorf("%s: Content-Encoding %q", path, got)
		}
	}
}

func manyNodes(n int) []*node.Node {
	all := make([]*node.Node, n)
	for i := range all {
		nd := sample()[i%5]
		nd.ID = fmt.Sprintf("node-%06d", i)
		all[i] = &nd
	}
	return all
}

// A hundred thousand nodes are encoded in well under a second and without an allocation for each.
func TestEncodingAllocatesLittle(t *testing.T) {
	nodes := manyNodes(1000)
	for _, n := range nodes {
		n.Meta, n.Evidence, n.Name = "plain", "plain", "plain"
	}
	s := node.Settings{Threshold: time.Minute}
	if got := testing.AllocsPerRun(10, func() { _ = writeNodes(io.Discard, nodes, noon, node.Clock{Settings: s}) }); got > 10 {
		t.Errorf("%.0f allocations for 1000 nodes", got)
	}
}

func BenchmarkWriteNodes(b *testing.B) {
	nodes := manyNodes(100_000)
	s := node.Settings{Threshold: time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		_ = writeNodes(io.Discard, nodes, noon, node.Clock{Settings: s})
	}
}
