package node_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
)

// buried makes a fold whose node n was deleted at the returned stamp.
func buried(t *testing.T) (*node.Fold, node.Stamp) {
	t.Helper()
	f := node.New(0, node.Snapshot{Clock: node.Clock{Position: node.Position{Epoch: 1}, Settings: nodetest.GenerateSettings()}})
	start := node.Stamp(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	f.Apply(node.Message{Seq: 1, Stamp: start, Heartbeats: []node.Heartbeat{{NodeID: "n"}}})
	f.Apply(node.Message{Seq: 2, Stamp: start, Command: &node.Command{NodeID: "n", Delete: true}})
	if c := f.Take(); c.Deleted["n"] != start {
		t.Fatalf("tombstones %v", c.Deleted)
	}
	return f, start
}

// joined folds a heartbeat of n and returns how its event says it came.
func joined(t *testing.T, f *node.Fold, seq uint64, at node.Stamp) node.Event {
	t.Helper()
	f.Apply(node.Message{Seq: seq, Stamp: at, Heartbeats: []node.Heartbeat{{NodeID: "n"}}})
	for _, e := range f.Take().Events {
		if e.Kind == node.Joined {
			return e
		}
	}
	t.Fatal("it did not join")
	return node.Event{}
}

func TestTombstonesAreKeptFor90Days(t *testing.T) {
	const keep = node.Stamp(node.KeepDeleted)
	f, gone := buried(t)
	if e := joined(t, f, 3, gone+keep); e.Since != gone || e.Lasted != node.KeepDeleted {
		t.Errorf("back after exactly 90 days: since %v, lasted %v; want when it was deleted", e.Since, e.Lasted)
	}
	f, gone = buried(t)
	if e := joined(t, f, 3, gone+keep+1); e.Since != 0 || e.Lasted != 0 {
		t.Errorf("back after more: since %v, lasted %v; want none, as a new node", e.Since, e.Lasted)
	}
	// That nothing is kept is committed, too, and does not wait for the node.
	f, gone = buried(t)
	f.Apply(node.Message{Seq: 3, Stamp: gone + keep + 1})
	if at, ok := f.Take().Deleted["n"]; !ok || at != 0 {
		t.Errorf("the tombstone's removal is to be stored; got %v, %v", at, ok)
	}
	// A clock that steps ahead and back decides at once, not when somebody looks.
	if e := joined(t, f, 4, gone+1); e.Since != 0 {
		t.Errorf("removed, and there again when the clock stepped back: %v", e.Since)
	}
}

// However many nodes are deleted, and however often the evaluator starts anew, tombstones are bounded and the same.
func TestTombstonesAreBoundedAndTheSameAfterEveryRestart(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 6))
		snapshot := node.Snapshot{Clock: node.Clock{Position: node.Position{Epoch: 1}, Settings: node.Settings{Threshold: 20 * time.Second, MaxNodes: 1000}}}
		whole, stored := node.New(0, snapshot), snapshot
		var want, got []node.Event
		stamp := node.Stamp(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
		most, deletions, kept := 0, 0, node.Snapshot{}
		for seq := uint64(1); seq <= 3000; seq++ {
			stamp += node.Stamp(rng.Int64N(int64(24 * time.Hour)))
			if rng.IntN(50) == 0 { // steps to and fro, over the limit
				stamp += node.Stamp(rng.Int64N(int64(400*24*time.Hour))) - node.Stamp(200*24*time.Hour)
			}
			m := node.Message{Seq: seq, Stamp: stamp}
			id := fmt.Sprintf("node-%d", rng.IntN(400))
			if rng.IntN(2) == 0 {
				m.Command = &node.Command{NodeID: id, Delete: true}
				deletions++
			} else {
				m.Heartbeats = []node.Heartbeat{{NodeID: id}}
			}
			whole.Apply(m)
			changes := whole.Take()
			want = append(want, changes.Events...)
			kept = nodetest.Store(kept, changes)
			again := node.New(0, stored) // a new process for every message
			again.Apply(m)
			changes = again.Take()
			got = append(got, changes.Events...)
			stored = nodetest.Store(stored, changes)
			for id, at := range stored.Deleted {
				if stamp.Since(at) > node.KeepDeleted {
					t.Fatalf("seed %d: message %d leaves the tombstone of %s, deleted %v before", seed, seq, id, stamp.Since(at))
				}
			}
			most = max(most, len(stored.Deleted))
		}
		if !reflect.DeepEqual(got, want) || !maps.Equal(stored.Deleted, kept.Deleted) {
			t.Errorf("seed %d: restarts change events or tombstones", seed)
		}
		if deletions < 1000 || most == 0 {
			t.Errorf("seed %d: %d deletions, %d tombstones at most: the test is too kind", seed, deletions, most)
		}
	}
}
