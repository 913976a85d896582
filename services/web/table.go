package web

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// pageRows is how many nodes stand on a page: a hundred thousand nodes cost what a hundred do.
const pageRows = 100

// tableData is what the table shows.
type tableData struct {
	W        *words
	Chips    []chip
	Sorts    []sortLink
	Rows     []row
	HasRound bool
	HasIP    bool
	HasGPU   bool
	Found    bool   // there are nodes on this page
	First    string // link to the first page, "" on it
	Previous string // link to the page before, "" on the first
	Next     string // link to the next page, "" on the last
	ShowAll  string // link to the unfiltered page
	Begin    *beginData
}

// beginData tells a newcomer how to get the first node.
type beginData struct {
	W    *words
	Hint bool
	Base string // address for agents
}

// chip is a state with its count, and the link that shows only its nodes.
type chip struct {
	ID, Class, Word, Glyph, Link string
	Count                        string
	None                         bool
	Current                      bool
}

// sortLink is one order of the table.
type sortLink struct {
	Name, Word, Link string
	Current          bool
}

// row is one node.
type row struct {
	Class, Word, Glyph string
	ID, Name, IP, Meta string
	Link               string
	Code, Reason       string // the code as sent, and in words where there are some
	Evidence           string
	ISO, Heard         string
	HeardMs, SinceMs   int64
	Age, Since         string
	Doubled, Senders   string // what is to be said of several senders, and their addresses
	Bar                bar
	reported
}

// getTable answers the page of all nodes.
func (s *Service) getTable(w http.ResponseWriter, r *http.Request) {
	l, words := lookOf(r), language(r)
	base := s.base(r)
	s.show(w, r, page{
		nav: "nodes", live: "table.html", key: l.key() + "\x00" + base,
		above: "table-above.html", aboveData: searchData{words, l.search, l.state(), l.order},
		data: func(ctx context.Context, at *standing) (any, error) {
			return s.tableData(ctx, words, l, root(r), base, at)
		},
	})
}

// searchData is the form above the table.
type searchData struct {
	W                   *words
	Search, State, Sort string
}

func (s *Service) tableData(ctx context.Context, w *words, l look, root, base string, at *standing) (*tableData, error) {
	nodes, previous, next, err := s.selectNodes(ctx, l)
	if err != nil {
		return nil, err
	}
	d := &tableData{W: w, Chips: chips(w, l, at), Sorts: sorts(w, l), Found: len(nodes) > 0, ShowAll: look{}.link()}
	if len(nodes) == 0 && total(at.status.Counts) == 0 {
		d.Begin = s.beginData(w, base)
	}
	for i := range nodes {
		row := newRow(&nodes[i], w, root, at)
		d.HasRound = d.HasRound || row.Round != "" || row.Phase != ""
		d.HasIP = d.HasIP || row.IP != ""
		d.HasGPU = d.HasGPU || row.GPU != "" || row.GPUName != ""
		d.Rows = append(d.Rows, row)
	}
	if err := s.drawBars(ctx, w, d.Rows, at); err != nil {
		return nil, err
	}
	if previous != "" {
		d.First, d.Previous = l.withPlace("", "").link(), l.withPlace("", previous).link()
	}
	if next != "" {
		d.Next = l.withPlace(next, "").link()
	}
	return d, nil
}

// drawBars draws how the nodes of a page did in the last thirty days.
func (s *Service) drawBars(ctx context.Context, w *words, rows []row, at *standing) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	cuts := edges(at.at, 30, 24*time.Hour)
	turns, err := s.Store.Transitions(ctx, ids, cuts[0])
	if err != nil {
		return err
	}
	spans, err := s.spans.get(ctx)
	if err != nil {
		return err
	}
	for i, id := range ids {
		rows[i].Bar = newBar(w, node.UptimeBetween(turns[id], at.unobserved(spans), cuts))
	}
	return nil
}

func total(counts map[node.State]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func chips(w *words, l look, at *standing) []chip {
	all := []chip{{
		ID: "show-all", Class: "all", Word: w.All, Count: w.number(int64(total(at.status.Counts))),
		Link: l.withState("").link(), Current: len(l.states) == 0,
	}}
	for _, s := range states {
		n := at.status.Counts[s]
		all = append(all, chip{
			ID: "show-" + string(s), Class: string(s), Word: w.state(s), Glyph: glyphs[s], Count: w.number(int64(n)), None: n == 0,
			Link: l.withState(s).link(), Current: l.state() == string(s),
		})
	}
	return all
}

func sorts(w *words, l look) (out []sortLink) {
	for i, name := range orders {
		out = append(out, sortLink{name, w.Orders[i], l.withOrder(name).link(), name == l.order})
	}
	return out
}

// glyphs give each state a shape, for who cannot tell the colours.
var glyphs = map[node.State]string{node.Up: "✓", node.Degraded: "!", node.Down: "✕", node.Lost: "?"}

func newRow(n *node.Node, w *words, root string, at *standing) row {
	now := at.at
	r := row{
		Class: stateClass(n.State), Word: w.state(n.State), Glyph: cmp.Or(glyphs[n.State], "?"),
		ID: n.ID, Name: n.Name, IP: n.IP, Meta: n.Meta, Link: nodeLink(root, n.ID),
		Code: n.Reason, Reason: cmp.Or(w.reason(n.Reason), n.Reason), Evidence: n.Evidence,
		Age: "—", ISO: "", Heard: "—", reported: newReported(w, n),
	}
	if n.Heard != 0 {
		t := n.Heard.Time()
		r.ISO, r.Heard, r.HeardMs = t.Format(time.RFC3339), w.when(t, now), t.UnixMilli()
		r.Age = w.short(now.Sub(t))
	}
	if d, doubled := n.Doubled(at.status.Clock.W); doubled {
		r.Doubled, r.Senders = w.doubled(d), strings.Join(d.Addresses, ", ")
	}
	if n.State != node.Up && n.Since != 0 {
		r.SinceMs, r.Since = n.Since.Time().UnixMilli(), w.short(now.Sub(n.Since.Time()))
	}
	return r
}

// stateClass is the state as the style sheet knows it. A state that only a newer evaluator knows is shown where it
// cannot be overlooked.
func stateClass(s node.State) string {
	if _, known := glyphs[s]; known {
		return string(s)
	}
	return "other"
}

func (s *Service) beginData(w *words, base string) *beginData {
	d := &beginData{W: w, Hint: s.AgentHint, Base: w.IngestAddress}
	if s.AgentHint {
		d.Base = base
	}
	return d
}

// base is the address at which this viewer reached the monitor.
func (s *Service) base(r *http.Request) string {
	switch {
	case s.PublicURL != "":
		return strings.TrimRight(s.PublicURL, "/")
	case s.TrustedProxies.HTTPS(r):
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}
