package web

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// snapshotOf is a read of nodes, after another one.
func snapshotOf(nodes []node.Node, before *snapshot, at time.Time) *snapshot {
	s := &snapshot{standing: standing{at: at}, nodes: pointers(slices.Clone(nodes))}
	s.status.Clock.Settings.Threshold = 3 * time.Minute
	if before != nil {
		s.status.Clock = before.status.Clock
		keepSame(s.nodes, before.nodes)
	}
	return s
}

// TestPackedIsWhatIsWritten: whatever nodes come, go and change, and whoever looks, the compressed answer is the one that
// is written out.
func TestPackedIsWhatIsWritten(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		packers := [2]packer{}
		packers[1].viewer.Addresses = true
		var nodes []node.Node
		var snap *snapshot
		at := noon
		for step := range 40 {
			for range rng.IntN(5) {
				i := rng.IntN(len(nodes) + 1)
				switch {
				case rng.IntN(3) == 0 || i == len(nodes):
					n := fleet(1)[0]
					n.ID = fmt.Sprintf("%03d", rng.IntN(300))
					k, found := slices.BinarySearchFunc(nodes, n.ID, func(n node.Node, id string) int { return strings.Compare(n.ID, id) })
					if !found {
						nodes = slices.Insert(nodes, k, n)
					}
				case rng.IntN(3) == 0:
					nodes = slices.Delete(nodes, i, i+1)
				default:
					n := &nodes[i]
					n.Heard = node.Stamp(at.UnixNano())
					n.Evidence = []string{"", "at 10.1.2.3", "нет", `"<&>`}[rng.IntN(4)]
					n.Threshold = []time.Duration{0, 90 * time.Second, 1500 * time.Millisecond}[rng.IntN(3)]
					n.Senders = []string{"", "", doubled("1", "2").Senders}[rng.IntN(3)]
				}
			}
			at = at.Add(time.Duration(rng.IntN(3)) * time.Second)
			snap = snapshotOf(nodes, snap, at)
			snap.status.Clock.W += time.Duration(rng.IntN(30)) * time.Minute
			if rng.IntN(10) == 0 {
				snap.status.Clock.Settings.Threshold += time.Minute
			}
			for i := range packers {
				p := &packers[i]
				var shown []*node.Node
				for _, n := range snap.nodes {
					shown = append(shown, p.viewer.show(n))
				}
				var want bytes.Buffer
				_ = writeNodes(&want, shown, snap.at, snap.status.Clock)
				if len(nodes) == 0 {
					continue // few nodes are not packed
				}
				if got := unpack(t, bytes.NewReader(p.pack(snap, at))); got != want.String() {
					t.Fatalf("seed %d, step %d, addresses %v: packed\n%s\nwritten\n%s", seed, step, p.viewer.Addresses, got, want.String())
				}
			}
			if rng.IntN(15) == 0 {
				packers[1].forgetUnused(at.Add(packUnused + time.Second))
			}
		}
	}
}

// TestANewAnswerCostsWhatIsNew: of ten thousand nodes of which one reported, with all ages another second on.
func TestANewAnswerCostsWhatIsNew(t *testing.T) {
	const many = 10_000
	nodes := fleet(many)
	for i := range nodes { // so that ages have two digits all the time
		nodes[i].Heard = ago(20 * time.Second)
	}
	p := packer{}
	p.viewer.Addresses = true
	snap := snapshotOf(nodes, nil, noon)
	first := len(p.pack(snap, noon))
	if first > 25*many { // a live fleet of them has 12 bytes a node
		t.Errorf("%d bytes of %d nodes", first, many)
	}
	rows := slices.Clone(p.rows)
	i := 0
	allocations := testing.AllocsPerRun(20, func() {
		i++
		news := fleet(many)[500:501]
		news[0].Heard = ago(-time.Duration(i) * time.Second)
		next := &snapshot{standing: snap.standing, nodes: merge(snap.nodes, news)}
		next.at = noon.Add(time.Duration(i) * time.Second)
		snap = next
		p.pack(snap, noon)
	}) - testing.AllocsPerRun(20, func() { _ = fleet(many)[500:501] })
	if allocations > 100 {
		t.Errorf("%.0f allocations for one node that changed", allocations)
	}
	if n := sameRows(rows, p.rows); n != many-1 {
		t.Errorf("%d rows are the same, want all but one", n)
	}
	// A read of all, as it comes once a minute, changes nothing that says the same.
	rows = slices.Clone(p.rows)
	all := make([]node.Node, many)
	for i, n := range snap.nodes {
		all[i] = *n
	}
	next := snapshotOf(all, snap, snap.at)
	if n := sameRows(snap.nodes, next.nodes); n != many {
		t.Errorf("%d nodes are the same after a read of all", n)
	}
	p.pack(next, noon)
	if n := sameRows(rows, p.rows); n != many {
		t.Errorf("%d rows are the same after a read of all", n)
	}
}

func sameRows[R comparable](a, b []R) (n int) {
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// What nobody asks for any more is not kept.
func TestRowsThatNobodyAsksForAreForgotten(t *testing.T) {
	store := newFakeStore(fleet(worthKeeping)...)
	now := noon
	s := newService(t, store, func(o *Options) { o.Now = func() time.Time { return now } })
	ask := func() { do(s, "GET", "/api/nodes", "Accept-Encoding", "gzip") }
	ask()
	now = now.Add(packUnused)
	s.packers[1].forgetUnused(now)
	if s.packers[1].rows == nil {
		t.Error("forgotten although somebody asked a moment ago")
	}
	now = now.Add(time.Second)
	s.packers[1].forgetUnused(now)
	if p := &s.packers[1]; p.rows != nil || p.nodes != nil || p.spare != nil || p.encoder != nil {
		t.Error("kept for nobody")
	}
	ask()
}
