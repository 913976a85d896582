package web

import (
	"context"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/telemetry"
)

// shownSpans is how many blind spans the page lists, the newest first.
const shownSpans = 50

// monitorData is what the page about the monitor itself shows.
type monitorData struct {
	W      *words
	Root   string
	Panels []panel
	Chats  []chatRow
	// Processes are those that say that they run.
	Processes []processRow
	Spans     []spanRow
	Blind     []blindTime

	A        *accessWords
	Private  bool // who is told is not told here, nor how hosts are called
	Silences []silenceRow
	Acting   bool
}

// blindTime is how long the monitor could not have heard, in some time before now.
type blindTime struct{ Title, Value string }

// panel is what is known of one part of the monitor.
type panel struct {
	Title string
	Class string // "up", "degraded" or "down"
	Word  string
	Glyph string
	Facts []fact
}

// chatRow is how telling one chat stands.
type chatRow struct {
	Chat                   string
	Class, Word, Glyph     string
	Waiting, Oldest, Error string
	LastTold               string
}

// spanRow is one blind or deaf span.
type spanRow struct {
	Kind, ISO, From, To, Lasted string
}

// getMonitor answers the page about the monitor itself.
func (s *Service) getMonitor(w http.ResponseWriter, r *http.Request) {
	words, access, v := language(r), accessWordsFor(r), viewer(r)
	p := page{
		nav: "monitor", title: words.Monitor, live: "monitor.html",
		above: "monitor-above.html", aboveData: goneData{W: words, Root: root(r)},
		data: func(ctx context.Context, at *standing) (any, error) {
			spans, err := s.spans.get(ctx)
			if err != nil {
				return nil, err
			}
			d := s.monitorData(words, root(r), at, spans, v.Addresses)
			if v.Addresses {
				d.Silences = s.silenceRows(ctx, words, at.at, func(nodestore.Silence) bool { return true })
			} else {
				d.Chats = nil
			}
			d.A, d.Acting = access, v.SignedIn && s.Access != nil
			return d, nil
		},
	}
	if r.Header.Get(liveHeader) == "" && v.SignedIn && s.Access != nil && s.Quieting != nil {
		p.below, p.belowData = "quiet.html", actData{A: access, Root: root(r), Next: "monitor", Spans: access.silenceSpans()}
	}
	s.show(w, r, p)
}

func (s *Service) monitorData(w *words, root string, at *standing, spans []node.Span, hosts bool) *monitorData {
	d := &monitorData{W: w, Root: root, Private: !hosts, Processes: s.processRows(w, hosts), Panels: []panel{
		s.ingestPanel(w, at, hosts), evaluatorPanel(w, at, hosts), tellingPanel(w, at), s.webPanel(w, at),
	}}
	for _, c := range at.status.Chats {
		d.Chats = append(d.Chats, newChatRow(w, c, at))
	}
	for _, sp := range slices.Backward(spans) {
		if len(d.Spans) < shownSpans && (sp.To == 0 || sp.To > sp.From) {
			d.Spans = append(d.Spans, newSpanRow(w, sp, at.at))
		}
	}
	// What cannot be said of a node that was always there cannot be said of any.
	always := []node.Event{{Kind: node.Joined, To: node.Up, At: 1}}
	for i, window := range windows {
		blind := node.Uptime(always, at.unobserved(spans), node.Stamp(at.at.Add(-window).UnixNano()), node.Stamp(at.at.UnixNano())).Unobserved
		d.Blind = append(d.Blind, blindTime{w.Node.Windows[i], w.short(blind)})
	}
	return d
}

// windows are the times before now that uptime is told of; words.Node.Windows are their names.
var windows = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, longestWindow}

// levels of a panel.
var levels = map[string]string{"up": "✓", "degraded": "!", "down": "✕"}

func (p *panel) level(w *words, class string) {
	p.Class, p.Glyph = class, levels[class]
	p.Word = map[string]string{"up": w.Mon.Fine, "degraded": w.Mon.Look, "down": w.Mon.Broken}[class]
}

func (p *panel) add(name, value, small string) {
	if value != "" {
		p.Facts = append(p.Facts, fact{name, value, small})
	}
}

func (s *Service) ingestPanel(w *words, at *standing, hosts bool) panel {
	p := panel{Title: "ingest"}
	p.level(w, "up")
	c, sum := at.status.Clock, s.traffic.sum(s.Now())
	if c.Accepted != 0 {
		p.add(w.Mon.LastAccepted, w.ago(at.at.Sub(c.Accepted.Time())), "")
	}
	if sum.Rated {
		p.add(w.Mon.Rate, w.perSecond(sum.Rate), w.Mon.LastMinute)
	}
	if !sum.Since.IsZero() {
		small := w.since(w.short(s.Now().Sub(sum.Since)))
		p.add(w.Mon.Accepted, w.number(int64(sum.Accepted)), small)
		p.add(w.Mon.Refused, refusedOrNone(w, sum.Refused), small)
	}
	for _, name := range slices.Sorted(maps.Keys(sum.Ingests)) {
		p.add(w.Mon.Process, hostName(name, hosts), w.ago(s.Now().Sub(sum.Ingests[name])))
	}
	if c.Overflow > 0 {
		p.add(w.Mon.Overflow, w.number(c.Overflow), "")
		p.level(w, "degraded")
	}
	if c.Deaf {
		p.level(w, "down")
	}
	return p
}

func refusedOrNone(w *words, counts map[string]int) string {
	if len(counts) == 0 {
		return w.Mon.None
	}
	return refused(counts)
}

// hostName is the name of a process for who may know it: hosts are often called by their addresses.
func hostName(name string, known bool) string {
	if !known {
		return hidden
	}
	return name
}

func evaluatorPanel(w *words, at *standing, hosts bool) panel {
	p := panel{Title: "evaluator"}
	st := at.status
	if st.Term == 0 {
		p.level(w, "down")
		p.add(w.Mon.Holder, w.Mon.Nobody, "")
		return p
	}
	p.level(w, "up")
	if at.staleness(at.at) > 0 {
		p.level(w, "down")
	}
	p.add(w.Mon.Holder, hostName(st.Owner, hosts), "")
	p.add(w.Mon.Term, w.number(st.Term), "")
	p.add(w.Mon.Committed, w.ago(st.CommittedAge), "")
	if st.Clock.Position.Stamp != 0 {
		p.add(w.Mon.Lag, w.short(at.behind(at.at)), w.Mon.LagHow)
	}
	p.add(w.Mon.Position, w.number(int64(st.Clock.Position.Seq)), w.epoch(st.Clock.Position.Epoch))
	p.add(w.Node.Threshold, w.short(st.Clock.Settings.Threshold), w.Node.Default)
	p.add(w.Nodes, w.number(int64(total(st.Counts))), w.ofMost(int64(st.Clock.Settings.MaxNodes)))
	return p
}

func tellingPanel(w *words, at *standing) panel {
	p := panel{Title: "notifier"}
	p.level(w, "up")
	here := at.at.Add(-at.skew)
	for _, b := range telling(w, at.status.Chats, here) {
		if b.Grave {
			p.level(w, "down")
		} else if p.Class == "up" {
			p.level(w, "degraded")
		}
	}
	var waiting int
	var told time.Time
	for _, c := range at.status.Chats {
		if c.Chat == logChat {
			continue
		}
		waiting += c.Waiting
		if c.LastTold.After(told) {
			told = c.LastTold
		}
	}
	p.add(w.Mon.Waiting, w.number(int64(waiting)), "")
	if !told.IsZero() {
		p.add(w.Mon.LastTold, w.ago(here.Sub(told)), clock(told))
	}
	return p
}

func (s *Service) webPanel(w *words, at *standing) panel {
	p := panel{Title: "web"}
	p.level(w, "up")
	p.add(w.Mon.Version, telemetry.Version(), runtime.Version())
	p.add(w.Mon.Streams, w.number(int64(s.hub.open())), "")
	if off := at.skew.Abs(); off >= time.Second {
		p.add(w.Mon.Skew, w.short(off), "")
		if off > 5*time.Second {
			p.level(w, "degraded")
		}
	}
	return p
}

func newChatRow(w *words, c nodestore.ChatStatus, at *standing) chatRow {
	here := at.at.Add(-at.skew)
	r := chatRow{Chat: shorten(c.Chat), Class: "up", Word: w.Mon.Fine, Waiting: w.number(int64(c.Waiting)), Error: c.LastError, LastTold: w.Mon.Never}
	if c.Chat == logChat {
		r.Chat = w.Node.Log
	}
	switch {
	case !c.Active:
		r.Class, r.Word = "degraded", w.Mon.NotActive
	case c.LastError != "":
		r.Class, r.Word = "down", w.Mon.Broken
	case !c.Oldest.IsZero() && here.Sub(c.Oldest) > untold:
		r.Class, r.Word = "degraded", w.Mon.Late
	}
	r.Glyph = levels[r.Class]
	if !c.Oldest.IsZero() {
		r.Oldest = w.short(here.Sub(c.Oldest))
	}
	if !c.LastTold.IsZero() {
		r.LastTold = w.when(c.LastTold, here)
	}
	return r
}

func newSpanRow(w *words, sp node.Span, now time.Time) spanRow {
	r := spanRow{Kind: w.Mon.Blind, ISO: sp.From.Time().Format(time.RFC3339), From: w.when(sp.From.Time(), now)}
	if sp.Deaf {
		r.Kind = w.Mon.Deaf
	}
	if sp.To == 0 {
		r.To, r.Lasted = w.Mon.Lasts, w.short(now.Sub(sp.From.Time()))
		return r
	}
	r.To, r.Lasted = w.when(sp.To.Time(), now), w.short(sp.To.Since(sp.From))
	return r
}
