package nodestoretest

import (
	"context"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Load returns the fold as committed with its nodes, by id.
func Load(ctx context.Context, s nodestore.Writer, l nodestore.Lease) (node.Snapshot, error) {
	var nodes []node.Node
	snapshot, err := s.Load(ctx, l, func(n *node.Node) { nodes = append(nodes, *n) })
	slices.SortFunc(nodes, func(a, b node.Node) int { return strings.Compare(a.ID, b.ID) })
	snapshot.Nodes = nodes
	return snapshot, err
}

// Heard is what is stored of nodes that were heard, and said nothing new.
func Heard(nodes []node.Node) []node.Heard {
	out := make([]node.Heard, len(nodes))
	for i, n := range nodes {
		out[i] = node.Heard{ID: n.ID, Heard: n.Heard, HeardW: n.HeardW, Seq: n.Seq, Metrics: n.Metrics, Workload: n.Workload}
	}
	return out
}

// Judged is what is stored of nodes that changed their state without being heard.
func Judged(nodes []node.Node) []node.Judged {
	out := make([]node.Judged, len(nodes))
	for i, n := range nodes {
		out[i] = node.Judged{ID: n.ID, State: n.State, Reason: n.Reason, Evidence: n.Evidence, Told: n.Told, Since: n.Since, Incident: n.Incident}
	}
	return out
}

// loadable are the nodes as Load knows them.
func loadable(nodes ...node.Node) []node.Node {
	out := slices.Clone(nodes)
	for i := range out {
		n := &out[i]
		n.AgentVersion, n.OS, n.Arch, n.Metrics, n.Workload = "", "", "", "", ""
	}
	return out
}
