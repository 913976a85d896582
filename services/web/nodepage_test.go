package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// troubled is a store with a node to which everything has happened.
func troubled() *fakeStore {
	store := newFakeStore(sample()...)
	bravo := &store.nodes[1]
	bravo.Workload = `{"kind":"rl-swarm","phase":"training","phase_sec":90,"round":39512,"peer_name":"quiet heron","peer_id":"Qm1","restarts":3}`
	bravo.Metrics = `{"gpus":[{"name":"NVIDIA GeForce RTX 4090","use_percent":97,"temp_celsius":71}]}`
	event := func(seq uint64, at time.Duration, kind node.Kind, from, to node.State, found time.Duration, change func(*node.Event)) {
		e := node.Event{ID: node.EventID{Epoch: 1, Seq: seq}, Kind: kind, NodeID: "bravo", From: from, To: to, At: ago(at)}
		if change != nil {
			change(&e)
		}
		store.add(nodestore.StoredEvent{Event: e, Found: e.At.Time().Add(found)})
		if store.turns == nil {
			store.turns = map[string][]node.Event{}
		}
		store.turns["bravo"] = append(store.turns["bravo"], e)
	}
	event(1, 48*time.Hour, node.Joined, "", node.Up, 0, nil)
	event(2, 10*time.Hour, node.Changed, node.Up, node.Lost, 0, func(e *node.Event) { e.Reason = node.ReasonSilent })
	event(3, 9*time.Hour, node.Changed, node.Lost, node.Up, 0, func(e *node.Event) { e.Lasted = time.Hour })
	event(4, 5*time.Minute, node.Changed, node.Up, node.Down, 2*time.Minute, func(e *node.Event) {
		e.Reason, e.Evidence = "port_closed_3000", "connection refused"
	})
	store.tellings = []nodestore.ToldAlert{
		{ID: "1:0:4:0", Chat: "-1001234", Waiting: true, LastError: "the bot was blocked"},
		{ID: "1:0:4:0", Chat: "-1005678", At: noon.Add(-4 * time.Minute), Message: 7},
		{ID: "1:0:2:0", Chat: "-1005678", Held: nodestore.Silenced},
		{ID: "1:0:2:0", Chat: "log", Untold: nodestore.GivenUp},
	}
	store.annotations = []node.Annotation{{NodeID: "bravo", At: ago(8 * time.Hour), Status: "DOWN", Reason: "no_p2pd"}}
	store.incidents = []nodestore.Incident{
		{
			Key: "2", NodeID: "bravo", Name: "Big <one>", Began: ago(5 * time.Minute), State: node.Down, Reason: "port_closed_3000",
			Acknowledgement: nodestore.Acknowledgement{By: "Anna <3", At: noon.Add(-time.Minute)},
		},
		{Key: "1", NodeID: "bravo", Began: ago(10 * time.Hour), Ended: ago(9 * time.Hour), State: node.Lost, Reason: node.ReasonSilent},
	}
	store.spans = []node.Span{{From: ago(30 * time.Hour), To: ago(29 * time.Hour), ID: node.EventID{Epoch: 1, Seq: 1, Ordinal: 1}}}
	round := int64(39512)
	store.samples = []nodestore.Sample{{NodeID: "bravo", At: ago(time.Hour), Round: &round}, {NodeID: "bravo", At: ago(3 * 24 * time.Hour), Round: &round}}
	return store
}

// plain is what a page says, without markup, each run of blanks as one.
func plain(body string) string {
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return regexp.MustCompile(`\s+`).ReplaceAllString(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#43;", "+", "&nbsp;", " ", "&#39;", "'", "&#34;", `"`).Replace(text), " ")
}

func wantPlain(t *testing.T, body string, texts ...string) {
	t.Helper()
	text := plain(body)
	for _, want := range texts {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

func TestThePageOfANode(t *testing.T) {
	s := newService(t, troubled())
	w := do(s, "GET", "/nodes/bravo")
	wantStatus(t, w, http.StatusOK)
	wantPlain(t, w.Body.String(),
		"Big <one>", "bravo", "✕ DOWN 5 min · 2026-03-01 11:55:00 UTC", "port 3000 is closed", "connection refused",
		"Taken care of by Anna <3 since 2026-03-01 11:59:00 UTC", "Last heartbeat: 3 s · 2026-03-01 11:59:57 UTC",
		// An hour and five minutes of two days, less one hour in which the monitor was blind.
		"24 hours 95.4%", "7 days 97.6% not observed 1 h",
		"Round last 39,512", "quiet heron Qm1", "Lost after silence of 10 min its own", "training 1 min 30 s", "Restarts 3",
		"11:55:00 UTC ✕ DOWN (found 2 min later) port 3000 is closed connection refused …1234 to be told — the bot was blocked …5678 11:56:00 UTC",
		"04:00:00 UTC The agent tells later: DOWN (by the agent's clock) p2pd is not running",
		"03:00:00 UTC ✓ UP Up again after 1 h",
		"02:00:00 UTC ? LOST nothing is heard from it …5678 silenced log not told: its chat was away for too long",
		"2026-02-27 12:00 UTC ✓ UP First heard",
		`"round": 39512`)
	if got := plain(do(s, "GET", "/nodes/bravo?lang=ru").Body.String()); !strings.Contains(got, "Снова работает, спустя 1 ч") || !strings.Contains(got, "без наблюдения 1 ч") {
		t.Errorf("in Russian: %s", got)
	}
	wantPlain(t, do(s, "GET", "/nodes/alpha").Body.String(), "Nothing was recorded in this time", "No incidents on record.", "Nothing has happened yet.")
}

func TestChartsOfADayOrAWeek(t *testing.T) {
	s := newService(t, troubled())
	day, week := do(s, "GET", "/nodes/bravo").Body.String(), do(s, "GET", "/nodes/bravo?range=7d").Body.String()
	if strings.Contains(day, "02-26") || !strings.Contains(day, `<a href="?range=24h" aria-current="true">`) {
		t.Error("not a day")
	}
	if !strings.Contains(week, "02-26") || !strings.Contains(week, `<a href="?range=7d" aria-current="true">`) {
		t.Error("not a week")
	}
}

// An id may hold any character: its page is found by the link in the table.
func TestEveryNodeHasAPage(t *testing.T) {
	store := newFakeStore()
	ids := append([]string{
		"a/b", "a//b", "/", "a b", "a?b#c", "100%", "%2F", "a+b", "..", ".", "../x", "a/../b", "a\\b", "ümläut", "узел", "a;b=c", "a&b", "\x7f", "nodes/", "?id=x",
	}, hostile...)
	for _, id := range ids {
		store.nodes = append(store.nodes, node.Node{ID: id, State: node.Up, Evidence: "-"})
	}
	s := newService(t, store)
	links := regexp.MustCompile(`<a href="(\./nodes/[^"]*)">`).FindAllStringSubmatch(do(s, "GET", "/?sort=id").Body.String(), -1)
	if len(links) != len(ids) {
		t.Fatalf("%d links to %d nodes", len(links), len(ids))
	}
	base, _ := url.Parse("http://monitor.example/")
	found := map[string]bool{}
	for _, m := range links {
		link, err := url.Parse(strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#39;", "'").Replace(m[1]))
		if err != nil {
			t.Fatalf("%s: %v", m[1], err)
		}
		w := do(s, "GET", base.ResolveReference(link).RequestURI()) // as a browser does
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", m[1], w.Code)
			continue
		}
		id := regexp.MustCompile(`(?s)<h1><bdi>(.*?)</bdi></h1>`).FindStringSubmatch(w.Body.String())
		found[id[1]] = true
	}
	if len(found) != len(ids) {
		t.Errorf("%d of %d nodes have a page of their own", len(found), len(ids))
	}
}

func TestNoSuchNode(t *testing.T) {
	s := newService(t, troubled())
	for _, path := range []string{"/nodes/nobody", "/nodes/", "/nodes/?id=", "/nodes/BRAVO"} {
		w := do(s, "GET", path)
		wantStatus(t, w, http.StatusNotFound)
		wantText(t, w, "There is nothing here", "</html>")
	}
	wantText(t, do(s, "GET", "/nodes/x%2Fy"), `href="../"`)
}

func TestTheReportIsWhatTheAgentSent(t *testing.T) {
	n := sample()[0]
	n.Metrics, n.Workload = `{"load1":0.5,"odd":"<b>"}`, `{"broken`
	got := report(&n)
	for _, want := range []string{`"node_id": "alpha"`, `"interval_sec": 60`, "\"metrics\": {\n    \"load1\": 0.5,\n    \"odd\": \"<b>\"\n  }"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	if strings.Contains(got, "broken") {
		t.Errorf("what is no JSON is shown: %s", got)
	}
}

func TestTheIncidentsPage(t *testing.T) {
	store := troubled()
	s := newService(t, store)
	w := do(s, "GET", "/incidents")
	wantStatus(t, w, http.StatusOK)
	wantPlain(t, w.Body.String(),
		"Big <one> bravo ✕ DOWN port 3000 is closed Taken care of by Anna <3 since 11:59:00 UTC 11:55:00 UTC open 5 min",
		"bravo ? LOST nothing is heard from it 02:00:00 UTC 03:00:00 UTC 1 h")
	if got := plain(do(s, "GET", "/incidents?open=1").Body.String()); strings.Contains(got, "LOST") || !strings.Contains(got, "port 3000") {
		t.Errorf("open ones: %s", got)
	}
	wantPlain(t, do(s, "GET", "/incidents?after=nonsense").Body.String(), "port 3000 is closed")
	store.incidents = nil
	s.forget()
	wantPlain(t, do(s, "GET", "/incidents?lang=ru").Body.String(), "Инцидентов нет.")
}

func TestIncidentsStandOnPages(t *testing.T) {
	store := newFakeStore(sample()...)
	for i := range 2*pageIncidents + 3 {
		store.incidents = append(store.incidents, nodestore.Incident{Key: string(rune('一' + i)), NodeID: "alpha", Began: ago(time.Hour), Ended: ago(0), State: node.Down})
	}
	s := newService(t, store)
	rows, link := 0, "/incidents"
	for range 3 {
		body := do(s, "GET", link).Body.String()
		rows += strings.Count(body, "<tr ") - 1
		m := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(body)
		if m == nil {
			break
		}
		link = "/incidents" + m[1]
	}
	if rows != len(store.incidents) {
		t.Errorf("%d rows of %d incidents", rows, len(store.incidents))
	}
}
