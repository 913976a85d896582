package nodetest

import (
	"maps"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// Store applies changes to a snapshot, as a database would.
func Store(s node.Snapshot, c node.Changes) node.Snapshot {
	nodes := make(map[string]node.Node, len(s.Nodes))
	for _, n := range s.Nodes {
		nodes[n.ID] = n
	}
	for _, id := range c.Removed {
		delete(nodes, id)
	}
	for _, n := range c.Nodes {
		nodes[n.ID] = n
	}
	for _, h := range c.Heard {
		if n, ok := nodes[h.ID]; ok {
			n.Heard, n.HeardW, n.Seq, n.Metrics, n.Workload = h.Heard, h.HeardW, h.Seq, h.Metrics, h.Workload
			nodes[h.ID] = n
		}
	}
	for _, j := range c.Judged {
		if n, ok := nodes[j.ID]; ok {
			n.State, n.Reason, n.Evidence, n.Told, n.Since, n.Incident = j.State, j.Reason, j.Evidence, j.Told, j.Since, j.Incident
			nodes[j.ID] = n
		}
	}
	for _, n := range c.Altered {
		if stored, ok := nodes[n.ID]; ok {
			n.AgentVersion, n.OS, n.Arch = stored.AgentVersion, stored.OS, stored.Arch
			n.Metrics, n.Workload = stored.Metrics, stored.Workload
			nodes[n.ID] = n
		}
	}
	deleted := maps.Clone(s.Deleted)
	if deleted == nil {
		deleted = map[string]node.Stamp{}
	}
	for id, at := range c.Deleted {
		deleted[id] = at
		if at == 0 {
			delete(deleted, id)
		}
	}
	sorted := slices.SortedFunc(maps.Values(nodes), func(a, b node.Node) int { return strings.Compare(a.ID, b.ID) })
	return node.Snapshot{Clock: c.Clock, Nodes: sorted, Deleted: deleted}
}
