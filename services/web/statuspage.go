package web

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// statusRoutes are what may be shown to everybody.
func (s *Service) statusRoutes(get func(path, route string, h http.HandlerFunc), open func(path, route string, h http.HandlerFunc)) {
	if s.StatusPage {
		open(badgePath+".svg", "badge", s.getBadge)
		open("/status", "status", s.getStatusPage)
	} else {
		get(badgePath+".svg", "badge", s.getBadge)
		get("/status", "status", s.getStatusPage)
	}
	get(badgePath+"/*", "badge", s.getNodeBadge)
}

// tally is how many nodes are what.
type tally struct {
	all, serving int
	counts       map[node.State]int
}

func newTally(at *standing) tally {
	t := tally{counts: at.status.Counts}
	for state, n := range t.counts {
		t.all += n
		if state.Serving() {
			t.serving += n
		}
	}
	return t
}

// worst is the state of the worst node, "" when there is none.
func (t tally) worst() node.State {
	for _, state := range states {
		if t.counts[state] > 0 {
			return state
		}
	}
	if t.all > 0 {
		return node.Down // all are in states that only a newer program knows
	}
	return ""
}

// mostShown is how many nodes with incidents the page names.
const mostShown = 50

// statusData is the status page.
type statusData struct {
	W         *words
	S         *statusWords
	SiteTitle string
	Assets    assets
	OtherLang string
	Class     string // of the whole: up, degraded, down, or "" when nothing is known
	Headline  string
	Counts    []statusCount
	Open      []statusIncident
	More      int // incidents that are not named
	Clock     string
}

type statusCount struct {
	Class, Word string
	N           int
}

type statusIncident struct{ Name, Class, Word, Lasts string }

// getStatusPage answers a small page for those whom nodes serve: how they stand, and, for who may see them, which are
// not up. It is there with PUBLIC_VIEW or STATUS_PAGE.
func (s *Service) getStatusPage(w http.ResponseWriter, r *http.Request) {
	if !s.StatusPage && !s.PublicView {
		detail(w, http.StatusNotFound, "Not Found")
		return
	}
	names := viewer(r).Via != "" // who may look at all
	if s.StatusPage {
		v, no := s.identify(r)
		names = no == nil && v.Via != viaOpen
	}
	words, status := s.chooseLanguage(w, r), statusWordsFor(r)
	key := "status\x00" + words.Lang + "\x00"
	if names {
		key += "names"
	}
	part, err := s.cache.get(r.Context(), key, func(ctx context.Context) *renderedPart {
		return s.renderStatus(ctx, r, words, status, names)
	})
	if err != nil {
		return // the viewer left
	}
	if part.standing != nil {
		setStale(w, part.standing.staleness(part.standing.now(s.Now())))
	} else {
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Add("Vary", "Accept-Language, Authorization, Cookie")
	w.WriteHeader(part.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(part.body) // the client went away
	}
}

func (s *Service) renderStatus(ctx context.Context, r *http.Request, words *words, status *statusWords, names bool) *renderedPart {
	d := statusData{
		W: words, S: status, SiteTitle: s.SiteTitle, Assets: s.assets, OtherLang: inLanguage(r, words.OtherLang),
		Headline: status.NotKnown,
	}
	at, err := s.standing.get(ctx)
	code := http.StatusOK
	if err == nil && names {
		err = s.fillOpen(ctx, &d, at)
	}
	if err != nil {
		s.note(err)
		at, code = nil, http.StatusServiceUnavailable
	} else {
		d.fill(at)
	}
	var b bytes.Buffer
	err = s.pages.ExecuteTemplate(&b, "status.html", d)
	return &renderedPart{status: code, body: s.orLog(b.Bytes(), err), standing: at}
}

// fill says how all nodes stand. Of old data it says nothing but that.
func (d *statusData) fill(at *standing) {
	sum := newTally(at)
	d.Clock = at.at.UTC().Format("2006-01-02 15:04 UTC")
	if at.staleness(at.at) > 0 || at.status.Term == 0 {
		return
	}
	d.Headline = d.S.headline(sum)
	d.Class = map[node.State]string{node.Up: "up", node.Degraded: "degraded", node.Down: "down", node.Lost: "down"}[sum.worst()]
	for _, state := range states {
		if n := sum.counts[state]; n > 0 {
			d.Counts = append(d.Counts, statusCount{stateClass(state), d.S.state(state), n})
		}
	}
}

// fillOpen names the nodes that are not up.
func (s *Service) fillOpen(ctx context.Context, d *statusData, at *standing) error {
	open, err := s.Store.Incidents(ctx, nodestore.IncidentQuery{OpenOnly: true, Limit: mostShown})
	if err != nil {
		return err
	}
	for _, i := range open {
		name := i.Name
		if name == "" {
			name = i.NodeID
		}
		d.Open = append(d.Open, statusIncident{shortened(name), stateClass(i.State), d.S.state(i.State), d.W.short(max(at.at.Sub(i.Began.Time()), time.Second))})
	}
	sum := newTally(at)
	d.More = max(sum.all-sum.counts[node.Up]-len(d.Open), 0)
	return nil
}
