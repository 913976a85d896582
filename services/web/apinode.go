package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// mostEvents of a node's past stand in its document.
const mostEvents = 100

// nodeMore is what GET /api/nodes/<node_id> answers besides what GET /api/nodes does. Times are Unix seconds.
type nodeMore struct {
	Incident    *int64                `json:"incident_since"` // null while the node is up
	Metrics     json.RawMessage       `json:"metrics"`        // as the agent sent them
	Workload    json.RawMessage       `json:"workload"`
	Uptime      map[string]uptimeJSON `json:"uptime"` // by the window: 24h, 7d, 30d, 90d
	Events      []eventJSON           `json:"events"`
	Annotations []annotationJSON      `json:"annotations"`
	Told        []toldJSON            `json:"told"`
	Samples     []sampleJSON          `json:"samples,omitempty"`
}

// uptimeJSON is what a node was in a window. The share leaves out what was not observed.
type uptimeJSON struct {
	Share      *float64 `json:"share"` // null when nothing was observed
	Up         float64  `json:"up_sec"`
	Degraded   float64  `json:"degraded_sec"`
	Down       float64  `json:"down_sec"`
	Lost       float64  `json:"lost_sec"`
	Unobserved float64  `json:"unobserved_sec"`
	Absent     float64  `json:"absent_sec"`
}

type eventJSON struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	At       int64  `json:"at"`
	Found    int64  `json:"found"`
	Lasted   int64  `json:"lasted_sec,omitempty"`
	Quiet    bool   `json:"quiet,omitempty"`
	By       string `json:"by,omitempty"`
}

type annotationJSON struct {
	At       int64  `json:"at"`
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	Heard    int64  `json:"heard"`
}

type toldJSON struct {
	Event   string `json:"event"`
	Chat    string `json:"chat,omitempty"`
	At      *int64 `json:"at"` // null while it is not told
	Waiting bool   `json:"waiting,omitempty"`
	Held    string `json:"held,omitempty"`
	Untold  string `json:"untold,omitempty"`
}

type sampleJSON struct {
	At        int64    `json:"at"`
	Round     *int64   `json:"round,omitempty"`
	CPU       *float64 `json:"cpu_percent,omitempty"`
	Memory    *float64 `json:"memory_percent,omitempty"`
	Disk      *float64 `json:"disk_percent,omitempty"`
	GPUUse    *float64 `json:"gpu_percent,omitempty"`
	GPUMemory *float64 `json:"gpu_memory_percent,omitempty"`
	GPUTemp   *float64 `json:"gpu_celsius,omitempty"`
}

// windowNames are those of windows, for programs.
var windowNames = []string{"24h", "7d", "30d", "90d"}

var errSamples = errors.New("samples: must be 24h or 7d")

// samplesWindow is how far back samples are asked for, 0 for none.
func samplesWindow(values url.Values) (time.Duration, error) {
	switch values.Get("samples") {
	case "":
		return 0, nil
	case "24h":
		return 24 * time.Hour, nil
	case "7d":
		return 7 * 24 * time.Hour, nil
	}
	return 0, errSamples
}

// getNodeJSON answers one node and its past.
func (s *Service) getNodeJSON(w http.ResponseWriter, r *http.Request) {
	samples, err := samplesWindow(r.URL.Query())
	if err != nil {
		detail(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readLimit)
	defer cancel()
	at, err := s.standing.get(ctx)
	if err != nil {
		unavailable(w, "the database does not answer")
		return
	}
	now := at.now(s.Now())
	body, err := s.nodeDocument(ctx, nodeIDOf(r), samples, at, now, viewer(r))
	switch {
	case errors.Is(err, nodestore.ErrNotFound):
		detail(w, http.StatusNotFound, "no such node")
	case err != nil:
		s.note(err)
		unavailable(w, "the database does not answer")
	default:
		setStale(w, at.staleness(now))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the client went away
	}
}

// nodeDocument is a line of GET /api/nodes, and what more there is to tell.
func (s *Service) nodeDocument(ctx context.Context, id string, samples time.Duration, at *standing, now time.Time, v Viewer) ([]byte, error) {
	if id == "" {
		return nil, nodestore.ErrNotFound
	}
	found, err := s.Store.Nodes(ctx, nodestore.NodeQuery{ID: id})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nodestore.ErrNotFound
	}
	n := v.show(&found[0])
	more := nodeMore{Incident: optional(n.Incident), Metrics: object(n.Metrics), Workload: object(n.Workload)}
	if err := s.past(ctx, &more, n.ID, samples, at, now); err != nil {
		return nil, err
	}
	if !v.Addresses {
		more.hide()
	}
	tail, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	line := appendNode(nil, n, now, &at.status.Clock)
	return append(append(line[:len(line)-1], ','), append(tail[1:], '\n')...), nil
}

// hide takes out what a viewer may not see who may not see addresses: they, and who else looks after the nodes.
func (m *nodeMore) hide() {
	for i := range m.Events {
		m.Events[i].Evidence, m.Events[i].By = hideAddresses(m.Events[i].Evidence), ""
	}
	for i := range m.Annotations {
		m.Annotations[i].Evidence = hideAddresses(m.Annotations[i].Evidence)
	}
	for i := range m.Told {
		m.Told[i].Chat = ""
	}
}

// past fills in what happened to a node.
func (s *Service) past(ctx context.Context, m *nodeMore, id string, samples time.Duration, at *standing, now time.Time) (err error) {
	if m.Uptime, err = s.uptime(ctx, id, at, now); err != nil {
		return err
	}
	events, err := s.Store.Events(ctx, id, mostEvents)
	if err != nil {
		return err
	}
	m.Events = make([]eventJSON, len(events))
	for i, e := range events {
		m.Events[i] = eventJSON{
			ID: e.ID.String(), Kind: string(e.Kind), From: string(e.From), To: string(e.To), Reason: e.Reason, Evidence: e.Evidence,
			At: unix(e.At), Found: e.Found.Unix(), Lasted: int64(e.Lasted / time.Second), Quiet: e.Quiet, By: e.By,
		}
	}
	annotations, err := s.Store.Annotations(ctx, id, mostEvents)
	if err != nil {
		return err
	}
	m.Annotations = make([]annotationJSON, len(annotations))
	for i, a := range annotations {
		m.Annotations[i] = annotationJSON{At: unix(a.At), Status: a.Status, Reason: a.Reason, Evidence: a.Evidence, Heard: unix(a.Heard)}
	}
	told, err := s.Store.Tellings(ctx, id, mostEvents)
	if err != nil {
		return err
	}
	m.Told = make([]toldJSON, len(told))
	for i, t := range told {
		m.Told[i] = toldJSON{Event: t.ID, Chat: t.Chat, Waiting: t.Waiting, Held: t.Held, Untold: t.Untold}
		if !t.At.IsZero() {
			m.Told[i].At = new(t.At.Unix())
		}
	}
	if samples == 0 {
		return nil
	}
	taken, err := s.Store.Samples(ctx, id, node.Stamp(now.Add(-samples).UnixNano()))
	for _, t := range taken {
		m.Samples = append(m.Samples, sampleJSON{
			At: unix(t.At), Round: t.Round, CPU: t.CPU, Memory: t.Memory, Disk: t.Disk,
			GPUUse: t.GPUUse, GPUMemory: t.GPUMemory, GPUTemp: t.GPUTemp,
		})
	}
	return err
}

// uptime sums up each of the windows.
func (s *Service) uptime(ctx context.Context, id string, at *standing, now time.Time) (map[string]uptimeJSON, error) {
	to := node.Stamp(now.UnixNano())
	since := to - node.Stamp(longestWindow)
	events, err := s.Store.Transitions(ctx, []string{id}, since)
	if err != nil {
		return nil, err
	}
	spans, err := s.spans.get(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]uptimeJSON, len(windows))
	for i, window := range windows {
		a := node.Uptime(events[id], at.unobserved(spans), to-node.Stamp(window), to)
		u := uptimeJSON{
			Up: a.Up.Seconds(), Degraded: a.Degraded.Seconds(), Down: a.Down.Seconds(), Lost: a.Lost.Seconds(),
			Unobserved: a.Unobserved.Seconds(), Absent: a.Absent.Seconds(),
		}
		if share, known := a.Share(); known {
			u.Share = &share
		}
		out[windowNames[i]] = u
	}
	return out, nil
}

func unix(s node.Stamp) int64 { return int64(s) / int64(time.Second) }

// optional is null for no stamp.
func optional(s node.Stamp) *int64 {
	if s == 0 {
		return nil
	}
	return new(unix(s))
}

// object is a JSON object as it was sent, or null. Ingest saw to it that it is one.
func object(text string) json.RawMessage {
	if !strings.HasPrefix(text, "{") || !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}
