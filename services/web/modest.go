package web

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// modestStore shows what it reads as the viewer of the context may see it, so that no page and no answer can forget to:
// who may not see addresses finds none, nor who did something, nor who was told. A context without a viewer is this
// program's own.
type modestStore struct{ nodestore.Reader }

// seesAll reports whether the context's viewer may see everything.
func seesAll(ctx context.Context) bool {
	v, asked := ctx.Value(viewerKey{}).(Viewer)
	return !asked || v.Addresses
}

// forAll is a context for reading what several viewers share: each of them is shown only what they may see later on.
func forAll(ctx context.Context) context.Context {
	return context.WithValue(ctx, viewerKey{}, Viewer{Addresses: true})
}

// Nodes implements nodestore.Reader.
func (m modestStore) Nodes(ctx context.Context, q nodestore.NodeQuery) ([]node.Node, error) {
	if seesAll(ctx) {
		return m.Reader.Nodes(ctx, q)
	}
	q.NoAddresses = true
	nodes, err := m.Reader.Nodes(ctx, q)
	nodes = slices.DeleteFunc(nodes, func(n node.Node) bool { return foundByHidden(&n, q.Search) })
	for i := range nodes {
		shown := *Viewer{}.show(&nodes[i])
		shown.Metrics, shown.Workload = publicMetrics(nodes[i].Metrics), publicWorkload(nodes[i].Workload)
		nodes[i] = shown
	}
	return nodes, err
}

// foundByHidden reports whether a search found the node by an address in its reason, which is not shown. Agents of this
// project send none there.
func foundByHidden(n *node.Node, search string) bool {
	reason := hideAddresses(n.Reason)
	if search == "" || reason == n.Reason {
		return false
	}
	want := strings.ToLower(search)
	return !slices.ContainsFunc([]string{n.ID, n.Name, reason}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), want)
	})
}

// publicMetrics are those that an agent of this project sends, but for paths: other agents may send whatever they like.
func publicMetrics(text string) string {
	var m contract.Metrics
	if text == "" || json.Unmarshal([]byte(text), &m) != nil {
		return ""
	}
	if m.Disk != nil {
		m.Disk.Path = ""
	}
	return encoded(m)
}

// publicWorkload is likewise what is known of the node's work, but for where it is and who keeps it running.
func publicWorkload(text string) string {
	var w contract.Workload
	if text == "" || json.Unmarshal([]byte(text), &w) != nil {
		return ""
	}
	w.Dir, w.Supervisor, w.OnDown = "", "", nil
	if w.Disk != nil {
		w.Disk.Path = ""
	}
	return encoded(w)
}

func encoded(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return hideAddresses(string(data))
}

// Events implements nodestore.Reader.
func (m modestStore) Events(ctx context.Context, nodeID string, limit int) ([]nodestore.StoredEvent, error) {
	events, err := m.Reader.Events(ctx, nodeID, limit)
	if seesAll(ctx) {
		return events, err
	}
	for i := range events {
		e := &events[i]
		e.IP, e.By = "", ""
		e.Meta, e.Evidence, e.Reason = hideAddresses(e.Meta), hideAddresses(e.Evidence), hideAddresses(e.Reason)
	}
	return events, err
}

// Annotations implements nodestore.Reader.
func (m modestStore) Annotations(ctx context.Context, nodeID string, limit int) ([]node.Annotation, error) {
	all, err := m.Reader.Annotations(ctx, nodeID, limit)
	if seesAll(ctx) {
		return all, err
	}
	for i := range all {
		all[i].Evidence, all[i].Reason = hideAddresses(all[i].Evidence), hideAddresses(all[i].Reason)
	}
	return all, err
}

// Incidents implements nodestore.Reader.
func (m modestStore) Incidents(ctx context.Context, q nodestore.IncidentQuery) ([]nodestore.Incident, error) {
	all, err := m.Reader.Incidents(ctx, q)
	if seesAll(ctx) {
		return all, err
	}
	for i := range all {
		all[i].Evidence, all[i].Reason = hideAddresses(all[i].Evidence), hideAddresses(all[i].Reason)
		if all[i].Acknowledgement.By != "" {
			all[i].Acknowledgement.By = hidden
		}
	}
	return all, err
}

// Tellings implements nodestore.Reader.
func (m modestStore) Tellings(ctx context.Context, nodeID string, limit int) ([]nodestore.ToldAlert, error) {
	if !seesAll(ctx) {
		return nil, nil
	}
	return m.Reader.Tellings(ctx, nodeID, limit)
}
