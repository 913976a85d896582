package node_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
)

// TestFoldEqualsReference folds random streams, and forgets everything in memory at random, as a crash does.
func TestFoldEqualsReference(t *testing.T) {
	kinds := map[node.Kind]int{}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		steps := nodetest.Generate(rng, 600)
		want, states := nodetest.Reference(nodetest.GenerateSettings(), steps)
		said := nodetest.Said(nodetest.GenerateSettings(), steps)
		got, snapshot := foldWithCrashes(rng, steps)
		for i := range max(len(want), len(got)) {
			if i >= len(want) || i >= len(got) || want[i] != nodetest.Line(got[i]) {
				t.Fatalf("seed %d: event %d of %d/%d differs:\nwant %v\ngot  %v", seed, i, len(got), len(want), at(want, i), at(got, i))
			}
			kinds[got[i].Kind]++
		}
		if len(snapshot.Nodes) != len(states) {
			t.Fatalf("seed %d: %d nodes, want %d", seed, len(snapshot.Nodes), len(states))
		}
		for _, n := range snapshot.Nodes {
			if s := nodetest.Words(n); s != said[n.ID] {
				t.Fatalf("seed %d: of %s is stored %s, want %s", seed, n.ID, s, said[n.ID])
			}
			if s := nodetest.Describe(n, snapshot.Clock.W); s != states[n.ID] {
				t.Fatalf("seed %d: %s is %q, want %q", seed, n.ID, s, states[n.ID])
			}
		}
	}
	for _, k := range []node.Kind{node.Joined, node.Changed, node.Deleted, node.Blind, node.Deaf, node.Hearing, node.Doubled} {
		if kinds[k] < 50 {
			t.Errorf("the streams hardly exercise %q: %d events", k, kinds[k])
		}
	}
	t.Log(kinds)
}

func at[T any](s []T, i int) any {
	if i < len(s) {
		return fmt.Sprintf("%+v", s[i])
	}
	return "nothing"
}

func counted(nodes []node.Node) map[node.State]int {
	counts := make(map[node.State]int)
	for _, n := range nodes {
		counts[n.State]++
	}
	return counts
}

// foldWithCrashes commits at random and loads what was committed at random, replaying the rest.
func foldWithCrashes(rng *rand.Rand, steps []nodetest.Step) ([]node.Event, node.Snapshot) {
	stored := node.Snapshot{Clock: node.Clock{Position: node.Position{Epoch: 1}, Settings: nodetest.GenerateSettings()}}
	var events []node.Event
	f, committed := node.New(0, stored), 0
	for i := 0; i < len(steps); i++ {
		if steps[i].Torn {
			f.Tear(node.Stamp(i))
		}
		f.Apply(steps[i].Message)
		switch rng.IntN(8) {
		case 0, 1, 2:
			c := f.Take()
			stored, committed = nodetest.Store(stored, c), i+1
			if counts := counted(stored.Nodes); !maps.Equal(counts, stored.Clock.Counts) {
				panic(fmt.Sprintf("the clock counts %v, there are %v", stored.Clock.Counts, counts))
			}
			events = append(events, c.Events...)
		case 3:
			f, i = node.New(0, stored), committed-1
		}
	}
	c := f.Take()
	return append(events, c.Events...), nodetest.Store(stored, c)
}
