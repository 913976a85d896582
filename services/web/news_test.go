package web

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// numbered is a store whose nodes know which commit wrote them.
type numbered struct {
	nodestore.Reader
	nodes   map[string]node.Node
	changed map[string]uint64
	status  nodestore.Status
	read    int    // nodes
	between func() // happens once, after the next status
}

func (s *numbered) Status(context.Context, int) (nodestore.Status, error) {
	at := s.status
	at.Counts = make(map[node.State]int)
	for _, n := range s.nodes {
		at.Counts[n.State]++
	}
	if s.between != nil {
		s.between()
		s.between = nil
	}
	return at, nil
}

func (s *numbered) Nodes(_ context.Context, q nodestore.NodeQuery) (out []node.Node, err error) {
	for id, n := range s.nodes {
		if s.changed[id] > q.ChangedSince || q.ChangedSince == 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b node.Node) int { return strings.Compare(a.ID, b.ID) })
	s.read += len(out)
	return out, nil
}

// commit writes some nodes anew, makes and deletes some.
func (s *numbered) commit(rng *rand.Rand) {
	s.status.Clock.Position.Seq++
	for range rng.IntN(4) {
		id := fmt.Sprintf("n%03d", rng.IntN(60))
		if rng.IntN(6) == 0 {
			delete(s.nodes, id)
			continue
		}
		state := []node.State{node.Up, node.Down, node.Lost}[rng.IntN(3)]
		s.nodes[id] = node.Node{ID: id, State: state, Seq: int64(s.status.Clock.Position.Seq)}
		s.changed[id] = s.status.Clock.Position.Seq
	}
}

// TestReadingWhatIsNewIsReadingAll: whatever happened since the read before, also in the middle of this one.
func TestReadingWhatIsNewIsReadingAll(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &numbered{nodes: make(map[string]node.Node), changed: make(map[string]uint64)}
		s.status.Term, s.status.Clock.Position = 1, node.Position{Epoch: 1, Seq: 1}
		var before *snapshot
		for step := range 200 {
			for range rng.IntN(3) {
				s.commit(rng)
			}
			if rng.IntN(40) == 0 { // another evaluator, another stream: sequences begin anew
				s.status.Term++
				s.status.Clock.Position.Epoch++
				s.status.Clock.Position.Seq = 1
				clear(s.changed)
				for id := range s.nodes {
					s.changed[id] = 1
				}
			}
			was := all(s)
			if rng.IntN(3) == 0 {
				s.between = func() { s.commit(rng) }
			}
			snap, err := readSnapshot(t.Context(), s, 0, time.Now, before)
			if err != nil {
				t.Fatal(err)
			}
			// What was committed in the middle may be there or not, node for node.
			is := all(s)
			for i := range snap.nodes {
				n := *snap.nodes[i]
				if i > 0 && snap.nodes[i-1].ID >= n.ID {
					t.Fatalf("seed %d, step %d: %s after %s", seed, step, n.ID, snap.nodes[i-1].ID)
				}
				_, there := is[n.ID]
				_, existed := was[n.ID]
				gone := existed && !there && before != nil && slices.ContainsFunc(before.nodes, func(old *node.Node) bool { return *old == n }) // deleted in the middle: as it was before
				if n != was[n.ID] && n != is[n.ID] && !gone {
					t.Fatalf("seed %d, step %d: %+v is neither %+v nor %+v", seed, step, n, was[n.ID], is[n.ID])
				}
				delete(was, n.ID)
			}
			for id, n := range was {
				if is[id] == n {
					t.Fatalf("seed %d, step %d: %s is missing", seed, step, id)
				}
			}
			before = snap
		}
	}
}

func all(s *numbered) map[string]node.Node {
	out := make(map[string]node.Node)
	for id, n := range s.nodes {
		out[id] = n
	}
	return out
}

// TestReadingAgainReadsFew: of ten thousand nodes those are read that reported.
func TestReadingAgainReadsFew(t *testing.T) {
	s := &numbered{nodes: make(map[string]node.Node), changed: make(map[string]uint64)}
	s.status.Term, s.status.Clock.Position = 1, node.Position{Epoch: 1, Seq: 5}
	for i := range 10_000 {
		id := fmt.Sprintf("n%05d", i)
		s.nodes[id], s.changed[id] = node.Node{ID: id, State: node.Up}, 5
	}
	first, err := readSnapshot(t.Context(), s, 0, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.read = 0
	s.status.Clock.Position.Seq = 6
	s.nodes["n00007"], s.changed["n00007"] = node.Node{ID: "n00007", State: node.Down}, 6
	second, err := readSnapshot(t.Context(), s, 0, time.Now, first)
	if err != nil || s.read != 1 || len(second.nodes) != 10_000 || second.nodes[7].State != node.Down || first.nodes[7].State != node.Up {
		t.Errorf("%v, %d read, %d nodes, %v and before %v", err, s.read, len(second.nodes), second.nodes[7].State, first.nodes[7].State)
	}
}

// TestWhatNoCommitNumberedIsSeen within a minute: an older evaluator goes on until it is replaced.
func TestWhatNoCommitNumberedIsSeen(t *testing.T) {
	s := &numbered{nodes: map[string]node.Node{"a": {ID: "a", State: node.Up}}, changed: map[string]uint64{"a": 5}}
	s.status.Term, s.status.Clock.Position = 1, node.Position{Epoch: 1, Seq: 5}
	now := time.Unix(1e9, 0)
	read := func(before *snapshot) *snapshot {
		t.Helper()
		snap, err := readSnapshot(t.Context(), s, 0, func() time.Time { return now }, before)
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	snap := read(nil)
	s.status.Clock.Position.Seq = 6
	s.nodes["a"] = node.Node{ID: "a", State: node.Lost}
	for range 4 {
		now = now.Add(wholeEvery / 4)
		snap = read(snap)
	}
	if snap.nodes[0].State != node.Lost {
		t.Errorf("after a minute it is still %v", snap.nodes[0].State)
	}
}
