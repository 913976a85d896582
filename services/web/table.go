package web

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

const (
	// maxRows keeps the page quick however many nodes there are. The worst come first, and search finds the others.
	maxRows = 500
	// maxFragments bounds what is remembered of one read: clients choose the search, so there is no end to it.
	maxFragments = 64
)

// fragmentKey is all that a rendered table depends on, besides the snapshot.
type fragmentKey struct {
	lang, keep, state, search string
	addresses                 bool
}

// liveData is what the script replaces every few seconds.
type liveData struct {
	W       *words
	Build   string
	Title   string
	Summary string
	Banners []banner
	Chips   []chip
	Rows    []row
	Showing string
	ShowAll string // link to the unfiltered page

	Hint bool
	Base string // address for agents
}

// chip is a state with its count, and the link that shows only its nodes.
type chip struct {
	ID, Class, Word, Glyph, Link string
	Count                        int
	Current                      bool
}

// row is one node.
type row struct {
	Class, Word, Glyph string
	ID, Name, IP, Meta string
	Code, Reason       string // the code as sent, and in words where there are some
	Evidence           string
	ISO, Heard         string
	HeardMs, SinceMs   int64
	Age, Since         string
	Doubled, Senders   string // what is to be said of several senders, and their addresses
}

// fragment is the rendered table, shared by all who look the same way until the next read.
func (s *Service) fragment(snap *snapshot, l look) ([]byte, error) {
	key := fragmentKey{l.w.Lang, l.keep(), l.stateParam(), l.search, l.viewer.Addresses}
	snap.mu.Lock()
	defer snap.mu.Unlock() // rendering the same twice would take longer than to wait
	if live, ok := snap.fragments[key]; ok {
		return live, nil
	}
	live, err := s.render("table.html", s.tableData(snap, l))
	if err == nil && len(snap.fragments) < maxFragments {
		if snap.fragments == nil {
			snap.fragments = make(map[fragmentKey][]byte)
		}
		snap.fragments[key] = live
	}
	return live, err
}

func (s *Service) liveData(snap *snapshot, l look) liveData {
	d := liveData{
		W: l.w, Build: s.assets.Build, Title: s.SiteTitle,
		Summary: l.w.summary(snap.counts), Banners: snap.banners(l.w),
	}
	if broken := snap.counts[node.Lost] + snap.counts[node.Down]; broken > 0 {
		d.Title = "(" + strconv.Itoa(broken) + ") " + s.SiteTitle
	}
	// The summary is what a screen reader says when it changes; banners are part of the news.
	for _, b := range d.Banners {
		if b.Grave {
			d.Summary += ". " + b.Text
		}
	}
	return d
}

func (s *Service) tableData(snap *snapshot, l look) liveData {
	d := s.liveData(snap, l)
	d.Chips = chips(snap, l)
	d.ShowAll = l.link("", "", l.keep())
	matches, found := l.matcher(), 0
	for _, n := range snap.worst {
		if !matches(n) {
			continue
		}
		if found++; found <= maxRows {
			d.Rows = append(d.Rows, newRow(l.viewer.show(n), l.w, snap))
		}
	}
	if found > maxRows {
		d.Showing = l.w.showing(maxRows, found)
	}
	return d
}

func chips(snap *snapshot, l look) []chip {
	all := []chip{{
		ID: "show-all", Class: "all", Word: l.w.All, Count: len(snap.nodes),
		Link: l.link("", l.search, l.keep()), Current: len(l.states) == 0,
	}}
	for _, s := range states {
		all = append(all, chip{
			ID: "show-" + string(s), Class: string(s), Word: l.w.state(s), Glyph: glyphs[s], Count: snap.counts[s],
			Link: l.link(string(s), l.search, l.keep()), Current: l.stateParam() == string(s),
		})
	}
	return all
}

// glyphs give each state a shape, for who cannot tell the colours.
var glyphs = map[node.State]string{node.Up: "✓", node.Degraded: "!", node.Down: "✕", node.Lost: "?"}

func newRow(n *node.Node, w *words, snap *snapshot) row {
	now := snap.at
	r := row{
		Class: "other", Word: w.state(n.State), Glyph: cmp.Or(glyphs[n.State], "?"),
		ID: n.ID, Name: n.Name, IP: n.IP, Meta: n.Meta,
		Code: n.Reason, Reason: cmp.Or(w.reason(n.Reason), n.Reason), Evidence: n.Evidence,
		Age: "—", ISO: "", Heard: "—",
	}
	if _, known := glyphs[n.State]; known {
		r.Class = string(n.State)
	}
	if n.Heard != 0 {
		t := n.Heard.Time()
		r.ISO, r.Heard, r.HeardMs = t.Format(time.RFC3339), clock(t), t.UnixMilli()
		r.Age = w.short(now.Sub(t))
	}
	if d, doubled := n.Doubled(snap.status.Clock.W); doubled {
		r.Doubled, r.Senders = w.doubled(d), strings.Join(d.Addresses, ", ")
	}
	if n.State != node.Up && n.Since != 0 {
		r.SinceMs, r.Since = n.Since.Time().UnixMilli(), w.short(now.Sub(n.Since.Time()))
	}
	return r
}

// emptyData tells a newcomer how to get the first node.
func (s *Service) emptyData(snap *snapshot, l look, r *http.Request) liveData {
	d := s.liveData(snap, l)
	d.Hint, d.Base = s.AgentHint, l.w.IngestAddress
	if s.AgentHint {
		d.Base = s.base(r)
	}
	return d
}

// base is the address at which this viewer reached the monitor.
func (s *Service) base(r *http.Request) string {
	switch {
	case s.PublicURL != "":
		return strings.TrimRight(s.PublicURL, "/")
	case r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https":
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}
