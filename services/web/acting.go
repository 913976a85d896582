package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// silenceSpans are how long alerts can be silenced from a page, in minutes.
var silenceSpans = []int{60, 4 * 60, 12 * 60, 24 * 60, 7 * 24 * 60}

// actData is what stands in the forms of a node's page.
type actData struct {
	A         *accessWords
	Root      string
	ID, Next  string
	Name      string
	Threshold string // in seconds, "0" for the default
	Note      string
	Spans     []silenceSpan
}

type silenceSpan struct {
	Minutes int
	Word    string
}

// silenceRow is a silence that is not over.
type silenceRow struct {
	ID       int64
	What     string
	Many     bool // it may be about other nodes, too
	Until    string
	By, Note string
}

// noteRow is what people wrote about a node.
type noteRow struct{ Text, By, At string }

// nodeNext is a node's page as forms name it: where to go afterwards, from the root on.
func nodeNext(id string) string { return nodeLink("", id) }

// actForms prepares the forms of a node's page for who may use them. They are not part of what is kept fresh: nothing may
// change under the hands of who writes.
func (s *Service) actForms(r *http.Request, id string) (template string, data any) {
	if !viewer(r).SignedIn || s.Access == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	n, err := s.find(ctx, id)
	if err != nil || n == nil {
		return "", nil // the page says so itself
	}
	d := actData{
		A: accessWordsFor(r), Root: root(r), ID: id, Next: nodeNext(id), Name: n.Name,
		Threshold: strconv.FormatFloat(n.Threshold.Seconds(), 'f', -1, 64),
	}
	if note := s.noteOf(ctx, id); note != nil {
		d.Note = note.Text
	}
	d.Spans = d.A.silenceSpans()
	return "act.html", d
}

// silenceSpans are how long alerts can be silenced, in words.
func (a *accessWords) silenceSpans() (out []silenceSpan) {
	for i, minutes := range silenceSpans {
		out = append(out, silenceSpan{minutes, a.Spans[i]})
	}
	return out
}

// noteOf is what people wrote about a node, or nil.
func (s *Service) noteOf(ctx context.Context, id string) *noteRow {
	if s.Access == nil {
		return nil
	}
	notes, err := s.Access.Notes(ctx, []string{id})
	if err != nil {
		s.note(err)
		return nil
	}
	if n, ok := notes[id]; ok {
		return &noteRow{n.Text, n.By, clock(n.At)}
	}
	return nil
}

// silenceRows are those that are not over and for which wanted holds.
func (s *Service) silenceRows(ctx context.Context, w *words, now time.Time, wanted func(nodestore.Silence) bool) (out []silenceRow) {
	if s.Quieting == nil {
		return nil
	}
	all, err := s.Quieting.Silences(ctx, now)
	if err != nil {
		s.note(err)
		return nil
	}
	for _, x := range all {
		if !wanted(x) {
			continue
		}
		what := x.Value
		if x.Scope == nodestore.ScopeAll {
			what = w.All
		}
		out = append(out, silenceRow{x.ID, what, x.Scope != nodestore.ScopeNode, clock(x.Until), x.By, x.Note})
	}
	return out
}

// fillActing adds what people said about the node, and what the viewer may do about it.
func (s *Service) fillActing(ctx context.Context, d *nodeData, n *node.Node, at *standing, v Viewer) {
	d.Acting, d.Next = v.SignedIn && s.Access != nil, nodeNext(n.ID)
	d.MayAcknowledge = d.Acting && s.Quieting != nil && n.Incident != 0 && d.Acknowledged == ""
	if !v.Addresses {
		return // it is the team's own
	}
	d.Note = s.noteOf(ctx, n.ID)
	d.Silences = s.silenceRows(ctx, d.W, at.at, func(x nodestore.Silence) bool { return x.Covers(n.ID, n.Meta) })
}
