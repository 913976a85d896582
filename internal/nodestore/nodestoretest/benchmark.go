package nodestoretest

import (
	"fmt"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// BenchmarkCommit measures commits of heartbeats, each about 1 in 20 of the nodes, as rows a second.
func BenchmarkCommit(b *testing.B, s nodestore.Store) {
	const size, share = 20_000, 20
	l, err := s.Acquire(b.Context(), 0, "a", long, initial)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]node.Node, size)
	for i := range all {
		all[i] = node.Node{ID: fmt.Sprintf("node-%06d", i), State: node.Up, IP: "192.0.2.1", Meta: "rack 7"}
	}
	commit := func(seq uint64, nodes []node.Node) {
		for i := range nodes {
			nodes[i].Heard, nodes[i].HeardW, nodes[i].Seq = node.Stamp(seq), time.Duration(seq), int64(seq)
		}
		c := node.Changes{Clock: node.Clock{Position: node.Position{Epoch: 1, Seq: seq}}, Nodes: nodes}
		if err := s.Commit(b.Context(), l, node.Position{Epoch: 1, Seq: seq - 1}, c); err != nil {
			b.Fatal(err)
		}
	}
	commit(1, all)
	seq := uint64(1)
	for b.Loop() {
		seq++
		var some []node.Node
		for j := int(seq) % share; j < size; j += share {
			some = append(some, all[j])
		}
		commit(seq, some)
	}
	b.ReportMetric(float64(b.N)*size/share/b.Elapsed().Seconds(), "nodes/s")
}
