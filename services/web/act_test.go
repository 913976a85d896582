package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// fakeLog is an audit log in memory; everything else of Access panics.
type fakeLog struct {
	nodestore.Access
	mu      sync.Mutex
	actions []nodestore.Action
	err     error
}

func (f *fakeLog) BeginAction(_ context.Context, a nodestore.Action) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	a.ID = int64(len(f.actions) + 1)
	f.actions = append(f.actions, a)
	return a.ID, nil
}

func (f *fakeLog) EndAction(_ context.Context, id int64, outcome string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actions[id-1].Outcome = outcome
	return nil
}

// foldingStream folds a command into the store before it says that it took it, or is away.
type foldingStream struct {
	t     *testing.T
	store nodestore.Store
	seq   uint64
	err   error
}

func (f *foldingStream) Publish(_ context.Context, _ string, data []byte) (uint64, error) {
	if f.err != nil {
		return 0, f.err
	}
	c, err := contract.DecodeCommand(data)
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := &node.Command{NodeID: c.NodeID, By: c.By}
	switch c.Kind {
	case contract.CommandDelete:
		cmd.Delete = true
	case contract.CommandName:
		cmd.Name = &c.Name
	case contract.CommandThreshold:
		d := time.Duration(c.ThresholdSec * float64(time.Second))
		cmd.Threshold = &d
	}
	f.seq++
	fold(f.t, f.store, node.Message{Seq: f.seq, Stamp: ago(-time.Duration(f.seq) * time.Second), Command: cmd})
	return f.seq, nil
}

const oddID = `a/b c%20"<'`

// acted is a monitor with the nodes rig-1, which is down, and one with an odd id; somebody is signed in.
type acted struct {
	t      *testing.T
	store  nodestore.Store
	stream *foldingStream
	s      *Service
	v      *visitor
}

func newActed(t *testing.T, change ...func(o *Options)) *acted {
	store := realStore(t)
	fold(t, store,
		node.Message{Seq: 1, Stamp: ago(time.Hour), Heartbeats: []node.Heartbeat{{NodeID: "rig-1"}, {NodeID: oddID}}},
		node.Message{Seq: 2, Stamp: ago(time.Minute), Heartbeats: []node.Heartbeat{{NodeID: "rig-1", Status: "DOWN", Reason: "x"}}})
	a := &acted{t: t, store: store, stream: &foldingStream{t: t, store: store, seq: 2}}
	a.s = withStore(t, store, append(change, func(o *Options) { o.Commands, o.AdminToken = a.stream, adminToken })...)
	a.v = visit(t, a.s)
	wantStatus(t, a.v.signIn(testPassword), 303)
	return a
}

func (a *acted) node(id string) *node.Node {
	a.t.Helper()
	n, err := a.s.find(a.t.Context(), id)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// call sends a program's request.
func (a *acted) call(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.RemoteAddr = "203.0.113.9:1"
	w := httptest.NewRecorder()
	a.s.Handler().ServeHTTP(w, r)
	isDescribed(a.s, r, w)
	return w
}

func (a *acted) form(kind string, fields ...string) *httptest.ResponseRecorder {
	f := url.Values{"next": {"nodes/x?tab=1"}}
	for i := 0; i < len(fields); i += 2 {
		f.Set(fields[i], fields[i+1])
	}
	return a.v.do("POST", "/do/"+kind, f)
}

// Everything that people can do, by a form and by a program: it is done, and it stands in the audit log.
func TestActing(t *testing.T) {
	path := "/api/nodes/" + url.PathEscape(oddID)
	for _, way := range []struct {
		name, by string
		do       func(a *acted, kind string) *httptest.ResponseRecorder
	}{
		{"form", testUser, func(a *acted, kind string) *httptest.ResponseRecorder {
			w := a.form(kind, map[string][]string{
				"name": {"node_id", oddID, "name", " Cellar "}, "threshold": {"node_id", oddID, "threshold_sec", "600,5"},
				"note": {"node_id", oddID, "note", "line one\r\nline two"}, "acknowledge": {"node_id", "rig-1"},
				"silence":   {"scope", "node", "value", oddID, "minutes", "90", "note", "fan"},
				"unsilence": {"id", "1"}, "delete": {"node_id", oddID},
			}[kind]...)
			wantSent(a.t, w, "../nodes/x?done="+kind+"&tab=1")
			return w
		}},
		{"program", adminName, func(a *acted, kind string) *httptest.ResponseRecorder {
			call := map[string][3]string{
				"name": {"POST", path, `{"name":" Cellar "}`}, "threshold": {"POST", path, `{"threshold_sec":600.5}`},
				"note": {"POST", path, `{"note":"line one\nline two"}`}, "acknowledge": {"POST", "/api/acknowledgements", `{"node_id":"rig-1"}`},
				"silence":   {"POST", "/api/silences", fmt.Sprintf(`{"scope":"node","value":%q,"minutes":90,"note":"fan"}`, oddID)},
				"unsilence": {"DELETE", "/api/silences/1", ""}, "delete": {"DELETE", path, ""},
			}[kind]
			return a.call(call[0], call[1], call[2])
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := newActed(t)
			ok := func(kind string) {
				t.Helper()
				if w := way.do(a, kind); w.Code != 200 && w.Code != 201 && w.Code != 303 {
					t.Fatalf("%s: %d %s", kind, w.Code, w.Body)
				}
			}
			ok("name")
			ok("threshold")
			if n := a.node(oddID); n.Name != "Cellar" || n.Threshold != 600500*time.Millisecond {
				t.Errorf("%+v", n)
			}
			ok("note")
			notes, err := a.store.Notes(t.Context(), []string{oddID})
			if err != nil || notes[oddID].Text != "line one\nline two" || notes[oddID].By != way.by {
				t.Errorf("%+v, %v", notes, err)
			}
			ok("silence")
			silences, err := a.store.Silences(t.Context(), noon)
			if err != nil || len(silences) != 1 || silences[0].Value != oddID || silences[0].By != way.by || silences[0].Note != "fan" ||
				!silences[0].From.Equal(noon) || !silences[0].Until.Equal(noon.Add(90*time.Minute)) {
				t.Errorf("%+v, %v", silences, err)
			}
			ok("unsilence")
			ok("acknowledge")
			acks, err := a.store.Acknowledgements(t.Context(), []string{"rig-1"})
			if err != nil || acks["rig-1"].By != way.by {
				t.Errorf("%+v, %v", acks, err)
			}
			ok("delete")
			if a.node(oddID) != nil {
				t.Error("it is still there")
			}
			log := actionsOf(t, a.store)
			if got := kindsOfActions(log); got != "delete acknowledge unsilence silence note threshold name sign_in" {
				t.Errorf("audit log: %s", got)
			}
			for _, x := range log[:len(log)-1] {
				if x.By != way.by || x.Outcome != outcomeDone || x.Address == "" {
					t.Errorf("%+v", x)
				}
			}
			events, err := a.store.Events(t.Context(), oddID, 1)
			if err != nil || len(events) != 1 || events[0].By != way.by {
				t.Errorf("events %+v, %v", events, err)
			}
		})
	}
}

// What cannot be done is told, and leaves everything as it is.
// The page of a node shows every silence that covers it, and says which of them cover others.
func TestSilencesOfANode(t *testing.T) {
	a := newActed(t)
	fold(t, a.store, node.Message{Seq: 3, Stamp: ago(time.Second), Heartbeats: []node.Heartbeat{{NodeID: "rig-1", Meta: "dc=home, gpu=4090"}}})
	for _, silence := range []string{
		`{"scope":"node","value":"rig-1","minutes":60,"note":"mine"}`, `{"scope":"label","value":"gpu=4090","minutes":60,"note":"fans"}`,
		`{"scope":"label","value":"gpu=3090","minutes":60,"note":"others"}`, `{"scope":"all","minutes":60,"note":"moving"}`,
	} {
		wantStatus(t, a.call("POST", "/api/silences", silence), 201)
	}
	body := a.call("GET", "/nodes/rig-1", "").Body.String()
	for note, want := range map[string]string{"mine": "<span>Silenced until", "fans": "<span><b><bdi>gpu=4090</bdi></b> · Silenced until", "moving": "<span><b><bdi>All</bdi></b> · Silenced until"} {
		if !regexp.MustCompile(regexp.QuoteMeta(want) + ` <span class="num">[^<]*</span> \(<bdi>ADMIN_TOKEN</bdi>: <bdi>` + note).MatchString(body) {
			t.Errorf("%s is missing, or is not told as %q", note, want)
		}
	}
	if strings.Contains(body, "others") {
		t.Error("a silence of other nodes is shown")
	}
}

// Many nodes are silenced at the page of the monitor, by who may act.
func TestSilencingManyNodes(t *testing.T) {
	a := newActed(t)
	wantText(t, a.v.get("/monitor"), `action="./do/silence"`, `<option value="label">`)
	wantSent(t, a.form("silence", "scope", "label", "value", " dc=home ", "minutes", "240", "note", "moving", "next", "monitor"), "../monitor?done=silence")
	wantSent(t, a.form("silence", "scope", "all", "value", "is not read", "minutes", "60", "next", "monitor"), "../monitor?done=silence")
	wantText(t, a.form("silence", "scope", "label", "value", "home", "minutes", "60"), "value: must be a label like dc=home")
	all, err := a.store.Silences(t.Context(), noon)
	if err != nil || len(all) != 2 || all[0].Value != "dc=home" || all[0].Until != noon.Add(4*time.Hour) || all[1].Scope != nodestore.ScopeAll || all[1].Value != "" {
		t.Errorf("%+v, %v", all, err)
	}
	wantText(t, a.v.get("/monitor?done=silence"), "Alerts are silenced.", "<bdi>dc=home</bdi></b> · Silenced until", "<bdi>moving</bdi>")
	public := do(withStore(t, a.store, func(o *Options) { o.PublicView = true }), "GET", "/monitor").Body.String()
	if strings.Contains(public, "do/silence") || strings.Contains(public, "moving") {
		t.Error("everybody sees what the team silences")
	}
}

func TestActingWhatCannotBe(t *testing.T) {
	a := newActed(t)
	long := strings.Repeat("x", maxNote+1)
	for _, tt := range []struct {
		method, path, body string
		status             int
		detail             string
	}{
		{"POST", "/api/nodes/unknown", `{"name":"x"}`, 404, "no such node"},
		{"POST", "/api/nodes/", `{"name":"x"}`, 404, "no such node"},
		{"POST", "/api/nodes/rig", `{"name":"x"}`, 404, "no such node"},
		{"POST", "/api/nodes/rig-1", `{}`, 400, "one of name, threshold_sec and note must be set"},
		{"POST", "/api/nodes/rig-1", `{"title":"x"}`, 400, "the body must be a JSON object"},
		{"POST", "/api/nodes/rig-1", ``, 400, "the body must be a JSON object"},
		{"POST", "/api/nodes/rig-1", `{"name":"` + long[:maxName+1] + `"}`, 400, "name: must be at most 64 characters"},
		{"POST", "/api/nodes/rig-1", `{"name":"a\u202eb"}`, 400, "control characters"},
		{"POST", "/api/nodes/rig-1", `{"threshold_sec":1}`, 400, "must be from 20s"},
		{"POST", "/api/nodes/rig-1", `{"threshold_sec":-1}`, 400, "must be from 0"},
		{"POST", "/api/nodes/rig-1", `{"threshold_sec":1e300}`, 400, "must be from 0"},
		{"POST", "/api/nodes/rig-1", `{"note":"` + long + `"}`, 400, "note: must be at most 2000 characters"},
		{"POST", "/api/silences", `{"scope":"node","value":"unknown","minutes":5}`, 404, "no such node"},
		{"POST", "/api/silences", `{"scope":"label","value":"home","minutes":5}`, 400, "a label like dc=home"},
		{"POST", "/api/silences", `{"scope":"world","minutes":5}`, 400, "scope: must be"},
		{"POST", "/api/silences", `{"scope":"all"}`, 400, "must last longer"},
		{"POST", "/api/silences", `{"scope":"all","minutes":1e300}`, 400, "must last longer"},
		{"POST", "/api/silences", `{"scope":"all","minutes":200000}`, 400, "at most 90 days"},
		{"POST", "/api/silences", `{"scope":"all","until":"tomorrow"}`, 400, "until: must be a time"},
		{"POST", "/api/silences", `{"scope":"all","until":"2026-03-02T12:00:00Z","minutes":5}`, 400, "cannot both be set"},
		{"DELETE", "/api/silences/9", "", 404, "there is no such thing"},
		{"DELETE", "/api/silences/x", "", 404, "there is no such thing"},
		{"POST", "/api/acknowledgements", `{"node_id":"a/b c%20\"<'"}`, 409, "no incident"},
		{"POST", "/api/acknowledgements", `{"node_id":"unknown"}`, 404, "no such node"},
		{"DELETE", "/api/tokens/9", "", 404, "there is no such thing"},
		{"POST", "/api/tokens", `{"node_id":"` + long[:129] + `"}`, 400, "node_id: must be at most 128"},
		{"POST", "/api/tokens", `{"node_id":"a\nb"}`, 400, "control characters"},
		{"GET", "/api/audit?limit=0", "", 400, "limit: must be"},
	} {
		w := a.call(tt.method, tt.path, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.detail) {
			t.Errorf("%s %s %s: %d %s, want %d %s", tt.method, tt.path, tt.body, w.Code, w.Body, tt.status, tt.detail)
		}
	}
	if n := a.node("rig-1"); n.Name != "" || n.Threshold != 0 || a.stream.seq != 2 {
		t.Errorf("something was changed: %+v, %d commands", n, a.stream.seq-2)
	}
	w := a.form("threshold", "node_id", "rig-1", "threshold_sec", "many")
	wantStatus(t, w, 400)
	wantText(t, w, "threshold_sec: must be a number", `href="../nodes/x?tab=1"`)
	wantStatus(t, a.form("nothing"), 404)
	a.v.headers["Accept-Language"] = "ru"
	w = a.form("acknowledge", "node_id", oddID)
	wantStatus(t, w, 409)
	wantText(t, w, `<html lang="ru">`, "У этого узла сейчас нет инцидента.")
}

// Nothing is done that could not be recorded, and what failed says so.
func TestNothingIsDoneWithoutARecord(t *testing.T) {
	store := newFakeStore(sample()...)
	stream := &fakeStream{store: store, delay: 0}
	log := &fakeLog{err: errors.New("away")}
	s := newService(t, store, realTime, func(o *Options) { o.Access, o.Commands, o.AdminToken = log, stream, adminToken })
	wantDetail(t, deletes(s, "/api/nodes/bravo"), 503, "the database does not answer")
	if len(stream.published) != 0 {
		t.Fatal("a command without a record")
	}
	log.err, stream.err = nil, errors.New("no route")
	wantStatus(t, deletes(s, "/api/nodes/bravo"), 503)
	if a := log.actions[0]; !strings.HasPrefix(a.Outcome, "failed: NATS does not answer") || a.Kind != "delete" || a.NodeID != "bravo" {
		t.Errorf("%+v", a)
	}
}

// A form that is sent before its page was reloaded, by somebody who is not signed in any more, does nothing.
func TestActingNeedsSigningIn(t *testing.T) {
	a := newActed(t, func(o *Options) { o.PublicView = true })
	a.v.cookies = nil
	routes := []string{
		"POST /do/delete", "POST /do/token", "POST /api/nodes/rig-1", "DELETE /api/nodes/rig-1", "POST /api/silences", "DELETE /api/silences/1",
		"POST /api/acknowledgements", "GET /api/tokens", "POST /api/tokens", "DELETE /api/tokens/1", "GET /api/audit",
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		if w := a.v.do(method, path, url.Values{"node_id": {"rig-1"}}); w.Code != 401 && w.Code != 303 {
			t.Errorf("%s: %d %s", route, w.Code, w.Body)
		}
	}
	for _, page := range []string{"/tokens", "/audit"} {
		wantSent(t, a.v.get(page), "./sign-in?next="+page[1:])
	}
	if a.node("rig-1") == nil {
		t.Error("it was deleted")
	}
	// Where nobody can sign in, there is nothing of it.
	s := newService(t, newFakeStore(sample()...))
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		wantStatus(t, do(s, method, path), 404)
	}
}

func TestTheAuditLogIsReadPageByPage(t *testing.T) {
	a := newActed(t)
	for i := range 250 {
		if _, err := a.store.BeginAction(t.Context(), nodestore.Action{By: "ann", Kind: "name", NodeID: "n<&>", Detail: fmt.Sprintf("number %d.", i), Outcome: "failed: no such node"}); err != nil {
			t.Fatal(err)
		}
	}
	seen, next := 0, "/audit"
	for next != "" {
		w := a.v.get(next)
		wantStatus(t, w, 200)
		seen += strings.Count(w.Body.String(), "number ")
		wantText(t, w, "n&lt;&amp;&gt;")
		link, _, found := strings.Cut(w.Body.String(), `" rel="next">`)
		if next = ""; found {
			next = "/audit" + strings.ReplaceAll(link[strings.LastIndex(link, `"`)+1:], "&amp;", "&")
		}
	}
	if seen != 250 {
		t.Errorf("%d of 250 seen", seen)
	}
	a.v.headers["Accept-Language"] = "ru"
	wantText(t, a.v.get("/audit?node_id=n%3C%26%3E"), "не выполнено: Такого узла нет.")
	var all []actionAnswer
	if w := a.call("GET", "/api/audit?node_id=n%3C%26%3E&limit=7", ""); json.Unmarshal(w.Body.Bytes(), &all) != nil || len(all) != 7 || all[0].Detail != "number 249." {
		t.Errorf("%s", w.Body)
	}
}
