package web

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// staleCommit is the age of the last commit from which the data is called stale: an idle evaluator commits every 5 s.
	staleCommit = 10 * time.Second
	// staleStamp is the age of the newest folded message from which it is: ingest pulses twice a second.
	staleStamp = 30 * time.Second
)

// standing is how the monitor itself stands, as read at one time.
type standing struct {
	at     time.Time     // when it was read, by the clock that stamps
	skew   time.Duration // how far that clock is ahead of this machine's
	status nodestore.Status
}

// unobserved are the spans that were blind, and the time that is not folded yet: of neither is known what a node was.
func (s *standing) unobserved(spans []node.Span) []node.Span {
	return append(slices.Clip(spans), s.status.Clock.Unfolded())
}

// snapshot is one read of all nodes. It is not changed after readSnapshot, but for the answers that were made of it.
type snapshot struct {
	standing
	nodes   []*node.Node // by id; the same as in the snapshot before where nothing changed
	whole   time.Time    // when all of them were read; zero for never
	answers answers
}

// wholeEvery bounds for how long what a commit did not number stays unseen: that of an older evaluator, while an update
// replaces it, or of somebody with SQL.
const wholeEvery = time.Minute

// readSnapshot reads all nodes, or what is new since the snapshot before, nil for none.
func readSnapshot(ctx context.Context, store nodestore.Reader, partition int, now func() time.Time, before *snapshot) (*snapshot, error) {
	// The status comes first: what it says of the data's age is then never too good.
	at := now()
	status, err := store.Status(ctx, partition)
	if err != nil {
		return nil, err
	}
	s := &snapshot{standing: standing{at: at, status: status}}
	if before != nil && follows(&before.status, &status) && at.Sub(before.whole) < wholeEvery {
		news, err := store.Nodes(ctx, nodestore.NodeQuery{ChangedSince: before.status.Clock.Position.Seq})
		if err != nil {
			return nil, err
		}
		if s.nodes = merge(before.nodes, news); len(s.nodes) == total(status.Counts) {
			s.whole = before.whole
			return s, nil
		}
	}
	all, err := store.Nodes(ctx, nodestore.NodeQuery{})
	if err != nil {
		return nil, err
	}
	s.whole, s.nodes = at, pointers(all)
	return s, nil
}

func pointers(nodes []node.Node) []*node.Node {
	out := make([]*node.Node, len(nodes))
	for i := range nodes {
		out[i] = &nodes[i]
	}
	return out
}

// follows reports whether what changed between the two is told by sequences.
func follows(before, after *nodestore.Status) bool {
	a, b := before.Clock.Position, after.Clock.Position
	return before.Term == after.Term && a.Epoch == b.Epoch && 0 < a.Seq && a.Seq <= b.Seq
}

// merge puts nodes over others, both by id. None that was deleted goes by it, nor is one missed: then there are more than
// the status counts. Only pointers are copied: of very many nodes few are new.
func merge(nodes []*node.Node, news []node.Node) []*node.Node {
	out := make([]*node.Node, 0, len(nodes)+len(news))
	for i := range news {
		n, found := slices.BinarySearchFunc(nodes, news[i].ID, func(n *node.Node, id string) int { return strings.Compare(n.ID, id) })
		out = append(append(out, nodes[:n]...), &news[i])
		if found {
			n++
		}
		nodes = nodes[n:]
	}
	return append(out, nodes...)
}

// now turns this machine's time into that of the clock that stamps: the two may be of different hosts. It counts from
// the read on with the monotonic clock, so that a step since then changes nothing.
func (s *standing) now(here time.Time) time.Time { return s.at.Add(here.Sub(s.at) + s.skew) }

// staleness is how old the data is, when that is more than it should be; else 0.
func (s *standing) staleness(now time.Time) time.Duration {
	if s.status.Term == 0 {
		return 0 // there is no data
	}
	if age := s.committedAge(now); age > staleCommit {
		return age
	}
	if age := s.behind(now); age > staleStamp {
		return age
	}
	return 0
}

func (s *standing) committedAge(now time.Time) time.Duration {
	return s.status.CommittedAge + now.Sub(s.at)
}

// behind is the age of the newest message that was folded; 0 before the first.
func (s *standing) behind(now time.Time) time.Duration {
	stamp := s.status.Clock.Position.Stamp
	if stamp == 0 {
		return 0
	}
	return now.Sub(stamp.Time())
}

// filter selects nodes. The zero value selects all.
type filter struct {
	states []node.State // any of them; empty for all
	search string       // as nodestore.NodeQuery.Search
	viewer Viewer       // what they may not see they must not find, either
}

// matcher returns the test for one node. Filtering happens here and not in the database: it is asked once for all
// viewers, whatever each of them looks for.
func (f filter) matcher() func(n *node.Node) bool {
	want := strings.ToLower(f.search)
	return func(n *node.Node) bool {
		if len(f.states) > 0 && !slices.Contains(f.states, n.State) {
			return false
		}
		if want == "" {
			return true
		}
		n = f.viewer.show(n)
		for _, s := range [...]string{n.ID, n.Name, n.IP, n.Meta, n.Reason} {
			if strings.Contains(strings.ToLower(s), want) {
				return true
			}
		}
		return false
	}
}
