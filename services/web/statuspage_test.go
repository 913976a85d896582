package web

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// openIncidents is a store in which the nodes that are not up have incidents.
type openIncidents struct{ *fakeStore }

func (o openIncidents) Incidents(_ context.Context, q nodestore.IncidentQuery) (out []nodestore.Incident, err error) {
	for _, n := range o.nodes {
		if n.Incident != 0 && len(out) < q.Limit {
			out = append(out, nodestore.Incident{NodeID: n.ID, Name: n.Name, Began: n.Incident, State: n.State})
		}
	}
	return out, o.err
}

func statusOptions(page, public bool) func(o *Options) {
	return func(o *Options) {
		o.StatusPage, o.PublicView, o.Username, o.Password = page, public, testUser, testPassword
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func TestBadges(t *testing.T) {
	store := newFakeStore(sample()...)
	s := newService(t, store)
	for _, tt := range []struct{ target, label, colour string }{
		{"/badge.svg", "nodes: 2 of 5 up", badgeColours[node.Lost]},
		{"/badge.svg?lang=ru", "узлы: работают 2 из 5", badgeColours[node.Lost]},
		{"/badge/alpha.svg", "alpha: up", badgeColours[node.Up]},
		{"/badge/echo.svg?lang=ru", "echo: сбоит", badgeColours[node.Degraded]},
		{"/badge/bravo.svg", "Big &lt;one&gt;: down", badgeColours[node.Down]},
	} {
		w := do(s, "GET", tt.target)
		wantStatus(t, w, 200)
		wellFormed(t, w.Body.String())
		wantText(t, w, `aria-label="`+tt.label+`"`, "<title>"+tt.label+"</title>", tt.colour)
		if w.Header().Get("Content-Type") != "image/svg+xml; charset=utf-8" || !strings.HasPrefix(w.Header().Get("Cache-Control"), "no-cache") {
			t.Errorf("%v", w.Header())
		}
	}
	wantDetail(t, do(s, "GET", "/badge/nobody.svg"), http.StatusNotFound, "no such node")
	wantDetail(t, do(s, "GET", "/badge/.svg"), http.StatusNotFound, "no such node")
	wantDetail(t, do(s, "GET", "/badge/alpha"), http.StatusNotFound, "Not Found")
	long := node.Node{ID: strings.Repeat("я", 100), State: node.Up}
	w := do(newService(t, newFakeStore(long, node.Node{ID: "x/y<&\"", State: "later"})), "GET", "/badge/"+strings.Repeat("%D1%8F", 100)+".svg")
	wantText(t, w, strings.Repeat("я", maxLabel-1)+"…: up")
	w = do(newService(t, newFakeStore(node.Node{ID: `x/y<&"`, State: "later"})), "GET", `/badge/x/y%3C&%22.svg`)
	wellFormed(t, w.Body.String())
	wantText(t, w, `x/y&lt;&amp;&#34;: later`, badgeColours[node.Down])
}

// TestBadgesSayWhenNothingIsKnown: a picture of a dead monitor must not go on saying that all is well.
func TestBadgesSayWhenNothingIsKnown(t *testing.T) {
	store := newFakeStore(node.Node{ID: "a", State: node.Up})
	store.status.CommittedAge = time.Minute
	for _, target := range []string{"/badge.svg", "/badge/a.svg"} {
		wantText(t, do(newService(t, store), "GET", target), ": unknown<", badgeColours[""])
	}
	store.err = nodestore.ErrUnavailable
	for _, target := range []string{"/badge.svg", "/badge/a.svg"} {
		w := do(newService(t, store), "GET", target)
		wantStatus(t, w, 200)
		wantText(t, w, ": unknown<", badgeColours[""])
	}
	wantText(t, do(newService(t, newFakeStore()), "GET", "/badge.svg"), "nodes: none yet", badgeColours[""])
}

// TestWhoSeesTheStatusPage, and what on it.
func TestWhoSeesTheStatusPage(t *testing.T) {
	nodes := sample()
	nodes[1].Evidence = "dial 10.0.0.2:3000"
	names := []string{"charlie", "delta", "echo", "Big &lt;one&gt;"}
	auth := []string{"Authorization", "Basic " + basicAuth(testUser, testPassword)}
	for _, tt := range []struct {
		name         string
		page, public bool
		headers      []string
		status       int
		named        bool
		badge        int // of all
		nodeBadge    int
	}{
		{"nothing is public", false, false, nil, 401, false, 401, 401},
		{"nothing is public, signed in", false, false, auth, 404, false, 200, 200},
		{"the status page", true, false, nil, 200, false, 200, 401},
		{"the status page, signed in", true, false, auth, 200, true, 200, 200},
		{"the public view", false, true, nil, 200, true, 200, 200},
		{"both", true, true, nil, 200, true, 200, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, openIncidents{newFakeStore(nodes...)}, statusOptions(tt.page, tt.public))
			w := do(s, "GET", "/status", tt.headers...)
			wantStatus(t, w, tt.status)
			wantStatus(t, do(s, "GET", "/badge.svg", tt.headers...), tt.badge)
			wantStatus(t, do(s, "GET", "/badge/alpha.svg", tt.headers...), tt.nodeBadge)
			if tt.status != 200 {
				return
			}
			wantText(t, w, "3 of 5 nodes are not up", "2</b> lost", "As of 2026-03-01 12:00 UTC")
			for _, name := range names {
				if strings.Contains(w.Body.String(), name) != tt.named {
					t.Errorf("%s is shown: %v, want %v", name, !tt.named, tt.named)
				}
			}
			for _, secret := range []string{"10.0.0", "rack 1", "2001:db8", "connection refused", "alpha"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("%q is shown", secret)
				}
			}
			if w := do(s, "HEAD", "/status", tt.headers...); w.Code != 200 || w.Body.Len() != 0 {
				t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
			}
		})
	}
	// Where nothing is asked for, the page alone still names nobody: it is what others are shown.
	s := newService(t, openIncidents{newFakeStore(nodes...)}, func(o *Options) { o.StatusPage = true })
	if w := do(s, "GET", "/status"); strings.Contains(w.Body.String(), "charlie") {
		t.Error("a node is named")
	}
}

func TestStatusHeadlines(t *testing.T) {
	counts := func(up, degraded, down, lost int) tally {
		return newTally(&standing{status: nodestore.Status{Counts: map[node.State]int{
			node.Up: up, node.Degraded: degraded, node.Down: down, node.Lost: lost,
		}}})
	}
	for _, tt := range []struct {
		t      tally
		en, ru string
	}{
		{counts(0, 0, 0, 0), "There are no nodes yet", "Узлов пока нет"},
		{counts(3, 0, 0, 0), "All nodes are up", "Все узлы работают"},
		{counts(20, 1, 0, 0), "All nodes are up, 1 degraded", "Все узлы работают, 1 сбоит"},
		{counts(1, 2, 0, 0), "All nodes are up, 2 degraded", "Все узлы работают, 2 сбоят"},
		{counts(20, 0, 1, 0), "1 of 21 nodes is not up", "Не работает 1 из 21 узла"},
		{counts(3, 0, 1, 1), "2 of 5 nodes are not up", "Не работают 2 из 5 узлов"},
		{counts(0, 0, 1, 1), "No node is up", "Ни один узел не работает"},
	} {
		if got := statusEnglish.headline(tt.t); got != tt.en {
			t.Errorf("%q, want %q", got, tt.en)
		}
		if got := statusRussian.headline(tt.t); got != tt.ru {
			t.Errorf("%q, want %q", got, tt.ru)
		}
	}
}

func TestStatusPageOfAnOldOrDeadMonitor(t *testing.T) {
	store := newFakeStore(sample()...)
	store.status.CommittedAge = time.Minute
	w := do(newService(t, openIncidents{store}, statusOptions(true, true)), "GET", "/status", "Accept-Language", "ru")
	wantStatus(t, w, 200)
	wantText(t, w, `<html lang="ru">`, "Сейчас неизвестно, как работают узлы")
	if strings.Contains(w.Body.String(), "charlie") || strings.Contains(w.Body.String(), "status-counts") || w.Header().Get("X-Monitor-Stale") != "60" {
		t.Errorf("old data is shown, or not called old: %v\n%s", w.Header(), w.Body)
	}
	store.err = nodestore.ErrUnavailable
	w = do(newService(t, openIncidents{store}, statusOptions(true, true)), "GET", "/status")
	wantStatus(t, w, 503)
	wantText(t, w, "How the nodes are is not known right now")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestStatusPageNamesNotTooMany(t *testing.T) {
	var nodes []node.Node
	for _, n := range fleet(mostShown + 30) {
		n.State, n.Incident = node.Down, ago(time.Hour)
		nodes = append(nodes, n)
	}
	s := newService(t, openIncidents{newFakeStore(nodes...)}, statusOptions(false, true))
	w := do(s, "GET", "/status")
	wantText(t, w, "No node is up", "and 30 more", "for 1 h")
	if got := strings.Count(w.Body.String(), "<bdi>"); got != mostShown {
		t.Errorf("%d are named", got)
	}
	inline := regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|<script`)
	if found := inline.FindString(w.Body.String()); found != "" {
		t.Errorf("inline %q", found)
	}
}

func basicAuth(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}
