package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	timelineLength = 60  // events and annotations, each
	tellingsLength = 400 // alerts of a node, in all chats
	nodeIncidents  = 25
	longestWindow  = 90 * 24 * time.Hour
)

// nodePath is where pages of nodes are: below it stands a node's id, which may hold any character.
const nodePath = "/nodes/"

// nodeID is the id that a page's address names.
func nodeID(r *http.Request) string {
	if id := r.URL.Query().Get("id"); id != "" && r.URL.Path == nodePath {
		return id
	}
	return strings.TrimPrefix(r.URL.Path, nodePath)
}

// nodeData is what the page of a node shows.
type nodeData struct {
	W    *words
	Root string
	row
	HeardAt       string
	StateText     string // since when
	Acknowledged  string
	Facts         []fact
	Windows       []window
	Charts        []chart
	Ranges        []rangeLink
	Incidents     []nodeIncident
	Timeline      []entry
	Report        string
	IncidentsMore bool

	A                      *accessWords
	Acting, MayAcknowledge bool
	Next                   string // this page, as forms name it
	Silences               []silenceRow
	Note                   *noteRow
}

// fact is one thing that is known of a node.
type fact struct{ Name, Value, Small string }

// window is how a node did in some time before now.
type window struct {
	Title string
	bar
}

// rangeLink chooses the time that charts show.
type rangeLink struct {
	Word, Link string
	Current    bool
}

// nodeIncident is one incident of a node.
type nodeIncident struct {
	incidentRow
	Told []toldLine
}

// getNode answers the page of one node.
func (s *Service) getNode(w http.ResponseWriter, r *http.Request) {
	id, words, week := nodeID(r), language(r), r.URL.Query().Get("range") == "7d"
	key := id + "\x00"
	if week {
		key += "7d"
	}
	v, access := viewer(r), accessWordsFor(r)
	p := page{
		nav: "nodes", title: cmp.Or(id, words.Nodes), live: "node.html", key: key,
		data: func(ctx context.Context, at *standing) (any, error) {
			d, err := s.nodeData(ctx, words, v, root(r), id, week, at)
			if err == nil {
				d.A = access
			}
			return d, err
		},
	}
	if r.Header.Get(liveHeader) == "" {
		p.below, p.belowData = s.actForms(r, id)
	}
	s.show(w, r, p)
}

func (s *Service) nodeData(ctx context.Context, w *words, v Viewer, root, id string, week bool, at *standing) (*nodeData, error) {
	nodes, err := s.Store.Nodes(ctx, nodestore.NodeQuery{ID: id})
	if err != nil {
		return nil, err
	}
	if id == "" || len(nodes) == 0 {
		return nil, errNoSuchPage
	}
	n := &nodes[0]
	d := &nodeData{W: w, Root: root, row: newRow(n, w, root, at), Report: report(n), Facts: facts(w, n, at)}
	if n.Heard != 0 {
		d.HeardAt = clock(n.Heard.Time())
	}
	if n.Since != 0 {
		d.SinceMs, d.Since, d.StateText = n.Since.Time().UnixMilli(), w.short(at.at.Sub(n.Since.Time())), clock(n.Since.Time())
	}
	for _, fill := range []func(context.Context, *nodeData, *node.Node, *standing) error{s.fillWindows, s.fillPast} {
		if err := fill(ctx, d, n, at); err != nil {
			return nil, err
		}
	}
	s.fillActing(ctx, d, n, at, v)
	return d, s.fillCharts(ctx, d, n.ID, week, at)
}

// fillWindows says how the node did in the last day, week, month and quarter.
func (s *Service) fillWindows(ctx context.Context, d *nodeData, n *node.Node, at *standing) error {
	since := node.Stamp(at.at.Add(-longestWindow).UnixNano())
	turns, err := s.Store.Transitions(ctx, []string{n.ID}, since)
	if err != nil {
		return err
	}
	spans, err := s.spans.get(ctx)
	if err != nil {
		return err
	}
	for i, cells := range []int{24, 28, 30, 30} {
		cuts := edges(at.at, cells, windows[i]/time.Duration(cells))
		d.Windows = append(d.Windows, window{d.W.Node.Windows[i], newBar(d.W, node.UptimeBetween(turns[n.ID], at.unobserved(spans), cuts))})
	}
	return nil
}

// fillPast tells what happened to the node, and who was told of it.
func (s *Service) fillPast(ctx context.Context, d *nodeData, n *node.Node, at *standing) error {
	events, err := s.Store.Events(ctx, n.ID, timelineLength)
	if err != nil {
		return err
	}
	annotations, err := s.Store.Annotations(ctx, n.ID, timelineLength)
	if err != nil {
		return err
	}
	tellings, err := s.Store.Tellings(ctx, n.ID, tellingsLength)
	if err != nil {
		return err
	}
	incidents, err := s.Store.Incidents(ctx, nodestore.IncidentQuery{NodeID: n.ID, Limit: nodeIncidents + 1})
	if err != nil {
		return err
	}
	told := toldOf(d.W, tellings, at.at)
	d.Timeline = timeline(d.W, events, annotations, told, at.at)
	if d.IncidentsMore = len(incidents) > nodeIncidents; d.IncidentsMore {
		incidents = incidents[:nodeIncidents]
	}
	for _, i := range incidents {
		shown := nodeIncident{incidentRow: newIncidentRow(d.W, d.Root, i, at.at)}
		shown.Told = toldDuring(i, events, told)
		if i.Ended == 0 && i.Acknowledgement.By != "" {
			d.Acknowledged = d.W.acknowledged(i.Acknowledgement.By, clock(i.Acknowledgement.At))
		}
		d.Incidents = append(d.Incidents, shown)
	}
	return nil
}

func (s *Service) fillCharts(ctx context.Context, d *nodeData, id string, week bool, at *standing) error {
	span := 24 * time.Hour
	if week {
		span *= 7
	}
	from := at.at.Add(-span)
	samples, err := s.Store.Samples(ctx, id, node.Stamp(from.UnixNano()))
	if err != nil {
		return err
	}
	d.Charts = charts(d.W, samples, from, at.at)
	link := "?"
	if strings.HasPrefix(nodeLink("", id), "nodes/?") {
		link = nodeLink("", id)[len("nodes/"):] + "&"
	}
	d.Ranges = []rangeLink{{d.W.Node.Windows[0], link + "range=24h", !week}, {d.W.Node.Windows[1], link + "range=7d", week}}
	return nil
}

// facts are what is known of a node besides its state, without what is not known.
func facts(w *words, n *node.Node, at *standing) (out []fact) {
	add := func(name, value, small string) {
		if value != "" {
			out = append(out, fact{name, value, small})
		}
	}
	f := w.Node
	add(w.IP, n.IP, "")
	threshold, own := n.Threshold, f.Own
	if threshold == 0 {
		threshold, own = at.status.Clock.Settings.Threshold, f.Default
	}
	add(f.Threshold, w.short(threshold), own)
	if n.Interval > 0 {
		add(f.Interval, w.short(n.Interval), "")
	}
	if n.Joined != 0 {
		add(f.Joined, clock(n.Joined.Time()), "")
	}
	add(f.Agent, n.AgentVersion, strings.Trim(n.OS+"/"+n.Arch, "/"))
	var work contract.Workload
	if json.Unmarshal([]byte(n.Workload), &work) == nil {
		add(f.Workload, work.Kind, strings.TrimSpace(work.Version))
		add(f.Phase, cmp.Or(w.reason(work.Phase), work.Phase), seconds(w, work.PhaseSec))
		add(f.Peer, work.PeerName, work.PeerID)
		add(f.Model, work.Model, "")
		add(f.Supervisor, work.Supervisor, work.Dir)
		add(f.Running, seconds(w, work.UptimeSec), "")
		if work.Restarts > 0 {
			add(f.Restarts, w.number(int64(work.Restarts)), "")
		}
	}
	var m contract.Metrics
	if json.Unmarshal([]byte(n.Metrics), &m) == nil && len(m.GPUs) > 0 {
		now, names := gpus(w, m.GPUs)
		add(w.GPU, cmp.Or(names, now), now)
	}
	add(w.Meta, n.Meta, "")
	return out
}

// seconds is a time that an agent sent, "" when it is none.
func seconds(w *words, s float64) string {
	if s < 1 || s > 1e9 {
		return ""
	}
	return w.short(time.Duration(s * float64(time.Second)))
}

// report is the node's last report as JSON for people.
func report(n *node.Node) string {
	raw := func(text string) json.RawMessage {
		if !json.Valid([]byte(text)) {
			return nil
		}
		return json.RawMessage(text)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the template does
	e.SetIndent("", "  ")
	if err := e.Encode(struct {
		NodeID      string          `json:"node_id"`
		IP          string          `json:"ip,omitempty"`
		Meta        string          `json:"meta,omitempty"`
		State       node.State      `json:"state"`
		Reason      string          `json:"reason,omitempty"`
		Evidence    string          `json:"evidence,omitempty"`
		IntervalSec float64         `json:"interval_sec,omitempty"`
		BootID      string          `json:"boot_id,omitempty"`
		Seq         int64           `json:"seq,omitempty"`
		Agent       contract.Agent  `json:"agent,omitzero"`
		Metrics     json.RawMessage `json:"metrics,omitempty"`
		Workload    json.RawMessage `json:"workload,omitempty"`
	}{
		n.ID, n.IP, n.Meta, n.State, n.Reason, n.Evidence, n.Interval.Seconds(), n.BootID, n.Seq,
		contract.Agent{Version: n.AgentVersion, OS: n.OS, Arch: n.Arch}, raw(n.Metrics), raw(n.Workload),
	}); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// toldDuring is what was told of an incident: of each chat the first alert that was told or that is to be, or why it was not.
func toldDuring(i nodestore.Incident, events []nodestore.StoredEvent, told map[string][]toldLine) (out []toldLine) {
	for _, e := range slices.Backward(events) {
		if e.Kind != node.Changed || e.At < i.Began || (i.Ended != 0 && e.At > i.Ended) {
			continue
		}
		for _, t := range told[e.ID.String()] {
			if !slices.ContainsFunc(out, func(o toldLine) bool { return o.Chat == t.Chat }) {
				out = append(out, t)
			}
		}
	}
	return out
}
