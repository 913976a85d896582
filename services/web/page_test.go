package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

func TestPageHasTheColumnsAndTheNodes(t *testing.T) {
	s := newService(t, newFakeStore(sample()...), func(o *Options) { o.SiteTitle = "My <nodes>" })
	w := do(s, "GET", "/")
	wantStatus(t, w, http.StatusOK)
	wantText(t, w, `<html lang="en">`, `<noscript><meta http-equiv="refresh" content="30"></noscript>`, "<span>My &lt;nodes&gt;</span>", "<h1>Nodes</h1>",
		">Node ID<", ">IP<", ">Status<", ">Last heartbeat<", ">Age<", ">Meta<", `scope="col"`, `scope="row"`,
		">10.0.0.1<", ">rack 1<", ">UP<", ">DOWN<", ">LOST<", ">DEGRADED<",
		"port 3000 is closed", "dial tcp 127.0.0.1:3000: connection refused", "nothing is heard from it", "gpu_hot",
		`<time datetime="2026-03-01T11:59:48Z">11:59:48 UTC</time>`, ">12 s<", ">2 h 3 min<", "Big &lt;one&gt;",
		`aria-live="polite"`, `data-summary="Nodes: 2 lost, 1 down, 1 degraded, 1 up"`, `data-title="(3) My &lt;nodes&gt;"`)
}

func TestWhatDoesNotWorkComesFirst(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	if got, want := ids(do(s, "GET", "/").Body.String()), "bravo charlie delta echo alpha"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

var idOf = regexp.MustCompile(`<bdi class="id">([^<]*)</bdi>`)

func ids(html string) string {
	var all []string
	for _, m := range idOf.FindAllStringSubmatch(html, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

func TestHeadIsAnswered(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, path := range []string{"/", "/api/nodes", "/api/events"} {
		wantStatus(t, do(s, "HEAD", path), http.StatusOK)
	}
}

func TestFilters(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, tt := range []struct{ query, want string }{
		{"", "bravo charlie delta echo alpha"},
		{"?state=lost", "charlie delta"},
		{"?state=nonsense", "bravo charlie delta echo alpha"},
		{"?sort=nonsense", "bravo charlie delta echo alpha"},
		{"?sort=id", "alpha bravo charlie delta echo"},
		{"?sort=since&after=nonsense", "echo delta bravo alpha charlie"}, // no place of this order: the beginning
		{"?sort=since", "echo delta bravo alpha charlie"},
		{"?sort=heard", "charlie delta alpha bravo echo"},
		{"?q=BIG", "bravo"},
		{"?q=10.0.0", "delta echo alpha"},
		{"?q=привет", "charlie"},
		{"?q=10.0.0&state=up", "alpha"},
		{"?q=%25", ""},
		{"?q=" + strings.Repeat("x", maxSearch+1), "bravo charlie delta echo alpha"},
	} {
		for _, live := range []string{"", "1"} {
			w := do(s, "GET", "/"+tt.query, liveHeader, live)
			wantStatus(t, w, http.StatusOK)
			if got := ids(w.Body.String()); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.query, got, tt.want)
			}
		}
	}
	wantText(t, do(s, "GET", "/?q=%25&lang=ru"), "Ни один узел не подходит.", `href="./"`)
}

func TestLanguage(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, tt := range []struct{ query, accept, want string }{
		{"", "", "en"},
		{"", "ru", "ru"},
		{"", "ru-RU,ru;q=0.9,en;q=0.8", "ru"},
		{"", "en-US,en;q=0.9,ru;q=0.8", "en"},
		{"", "de, ru;q=0.3, en;q=0.7", "en"},
		{"", "de", "en"},
		{"", "ru;q=0", "en"},
		{"", "ru;q=nonsense, *", "en"},
		{"?lang=ru", "en", "ru"},
		{"?lang=en", "ru", "en"},
		{"?lang=xx", "ru", "ru"},
	} {
		w := do(s, "GET", "/"+tt.query, "Accept-Language", tt.accept)
		if !strings.Contains(w.Body.String(), `<html lang="`+tt.want+`">`) {
			t.Errorf("%q with Accept-Language %q is not %s", tt.query, tt.accept, tt.want)
		}
	}
	w := do(s, "GET", "/", "Accept-Language", "ru")
	wantText(t, w, "НЕТ СВЯЗИ", "порт 3000 закрыт", "2 ч 3 мин", "Последний сигнал", "Узлы: нет связи — 2")
	if got := w.Header().Values("Vary"); !strings.Contains(strings.Join(got, ","), "Accept-Language") {
		t.Errorf("Vary %q", got)
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	for _, path := range []string{"/", "/api/nodes", "/nothing", "/" + s.assets.JS} {
		h := do(s, "GET", path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": contentSecurityPolicy, "X-Content-Type-Options": "nosniff",
			"X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		kept := strings.HasPrefix(path, "/static/") || path == "/api/nodes" // which is asked for again each time
		if got := h.Get("Cache-Control"); (got == "no-store") == kept {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
}

func TestNothingInline(t *testing.T) {
	store := newFakeStore(sample()...)
	s := newService(t, store)
	inline := regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|javascript:|<script(?:[^>]*src=)?[^>]*>[^<]`)
	for _, path := range []string{"/", "/?q=nothing", "/?lang=ru"} {
		if found := inline.FindString(do(s, "GET", path).Body.String()); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

func TestAssetsAreNamedByTheirContent(t *testing.T) {
	s := newService(t, newFakeStore())
	page := do(s, "GET", "/").Body.String()
	for path, kind := range map[string]string{
		s.assets.CSS: "text/css; charset=utf-8", s.assets.JS: "text/javascript; charset=utf-8", s.assets.Icon: "image/svg+xml",
	} {
		if !strings.Contains(page, `"./`+path+`"`) {
			t.Errorf("the page does not use %s", path)
		}
		w := do(s, "GET", "/"+path)
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get("Content-Type"); got != kind {
			t.Errorf("%s: Content-Type %q", path, got)
		}
	}
	wantStatus(t, do(s, "GET", "/static/page.js"), http.StatusNotFound)
}

func TestEmptyPageTellsHowToBegin(t *testing.T) {
	apart := newService(t, newFakeStore())
	wantText(t, do(apart, "GET", "/"), "No nodes yet", "SERVER_URL=https://&lt;address of ingest&gt;", "gensyn-agent run", "/api/heartbeat")
	one := newService(t, newFakeStore(), func(o *Options) { o.AgentHint = true })
	wantText(t, do(one, "GET", "http://mon.example:8080/"), "SERVER_URL=http://mon.example:8080 ", "go run ./agent/cmd/gensyn-agent run")
	wantText(t, do(one, "GET", "/?lang=ru"), "Узлов пока нет", "секрет")
	public := newService(t, newFakeStore(), func(o *Options) { o.AgentHint, o.PublicURL = true, "https://n.example.org/" })
	wantText(t, do(public, "GET", "/"), "SERVER_URL=https://n.example.org ")
}

func TestDatabaseUnavailable(t *testing.T) {
	store := newFakeStore(sample()...)
	store.err = errors.New("dial postgres://user:hunter2@db")
	s := newService(t, store)
	for _, path := range []string{"/", "/?state=up", "/?lang=ru"} {
		w := do(s, "GET", path)
		wantStatus(t, w, http.StatusServiceUnavailable)
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s shows the database's error", path)
		}
	}
	wantText(t, do(s, "GET", "/"), "The database does not answer", "page.", "</html>")
	wantDetail(t, do(s, "GET", "/api/nodes"), http.StatusServiceUnavailable, "the database does not answer")
}

func TestManyNodesStandOnPages(t *testing.T) {
	store := newFakeStore()
	const nodes = 2*pageRows + 5
	for i := range nodes {
		store.nodes = append(store.nodes, node.Node{ID: fmt.Sprintf("node-%05d", i), State: node.Up})
	}
	store.nodes[nodes-1].State = node.Down
	s := newService(t, store)
	next := regexp.MustCompile(`<a href="([^"]*)" rel="next">`)
	var all []string
	link := "/"
	for pages := 1; ; pages++ {
		body := do(s, "GET", link).Body.String()
		got := strings.Fields(ids(body))
		all = append(all, got...)
		if first := strings.Contains(body, `rel="first"`); first != (pages > 1) {
			t.Errorf("page %d has a link to the first one: %v", pages, first)
		}
		m := next.FindStringSubmatch(body)
		if m == nil {
			break
		}
		if len(got) != pageRows {
			t.Errorf("page %d has %d rows", pages, len(got))
		}
		link = "/" + strings.ReplaceAll(m[1], "&amp;", "&")
	}
	// And back again: the pages before are those that were seen.
	previous := regexp.MustCompile(`<a href="([^"]*)" rel="prev">`)
	for page := (nodes+pageRows-1)/pageRows - 1; ; page-- {
		m := previous.FindStringSubmatch(do(s, "GET", link).Body.String())
		if (m == nil) != (page == 0) {
			t.Fatalf("page %d has a link to the one before: %v", page+1, m != nil)
		}
		if m == nil {
			break
		}
		link = "/" + strings.ReplaceAll(m[1], "&amp;", "&")
		if got := strings.Fields(ids(do(s, "GET", link).Body.String())); !slices.Equal(got, all[(page-1)*pageRows:page*pageRows]) {
			t.Errorf("back to page %d: %v", page, got)
		}
	}
	// What is before a row of the first page is the first page, and so is a place that somebody made up.
	for _, look := range []string{"sort=id&before=" + all[3], "sort=since&before=nonsense"} {
		body := do(s, "GET", "/?"+look).Body.String()
		if n := len(strings.Fields(ids(body))); n != pageRows || strings.Contains(body, `rel="prev"`) || !strings.Contains(body, `rel="next"`) {
			t.Errorf("%s: %d rows", look, n)
		}
	}
	if len(all) != nodes || all[0] != "node-00204" || all[1] != "node-00000" || all[nodes-1] != "node-00203" {
		t.Errorf("%d nodes: %s … %s", len(all), all[0], all[len(all)-1])
	}
}

func TestTheLivePartTellsTheServersTime(t *testing.T) {
	w := do(newService(t, newFakeStore(sample()...)), "GET", "/", liveHeader, "1")
	if got := w.Header().Get("X-Monitor-Now"); got != fmt.Sprint(noon.UnixMilli()) {
		t.Errorf("X-Monitor-Now %q", got)
	}
	if body := w.Body.String(); strings.Contains(body, "<html") || !strings.HasPrefix(body, `<div id="live"`) {
		t.Errorf("not a part: %.80s", body)
	}
}

func TestTheLanguageIsRemembered(t *testing.T) {
	s := newService(t, newFakeStore(sample()...))
	w := do(s, "GET", "/?lang=ru")
	cookie := w.Result().Cookies()
	if len(cookie) != 1 || !cookie[0].HttpOnly {
		t.Fatalf("cookies %v", cookie)
	}
	wantText(t, do(s, "GET", "/", "Cookie", cookie[0].Name+"="+cookie[0].Value), `<html lang="ru">`)
	wantText(t, do(s, "GET", "/", "Cookie", cookie[0].Name+"=xx"), `<html lang="en">`)
}

// The page may stand below a path, and a node's page below the table's.
func TestLinksAreRelative(t *testing.T) {
	for path, want := range map[string]string{"/": "./", "/incidents": "./", "/nodes/a": "../", "/nodes/a%2Fb": "../", "/nodes/a/b": "../../"} {
		if got := root(httptest.NewRequest("GET", path, nil)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for id, want := range map[string]string{"a": "./nodes/a", "a/b c?#%": "./nodes/a%2Fb%20c%3F%23%25", "..": "./nodes/?id=..", ".": "./nodes/?id=."} {
		if got := nodeLink("./", id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

func TestNodeThatWasNeverHeard(t *testing.T) {
	w := do(newService(t, newFakeStore(node.Node{ID: "new", State: "frozen", Since: ago(time.Minute)})), "GET", "/")
	wantText(t, w, ">—<", "frozen", `<tr role="row" class="other" data-key="new">`)
}
