package nodestoretest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var leaseChecks = []check{
	{"the first acquire creates the partition", firstAcquire},
	{"a lease keeps others out", leaseHeld},
	{"partitions are apart", partitionsApart},
	{"a lease runs out", leaseRunsOut},
	{"renewing makes a lease last", renewLasts},
	{"releasing lets the next one in", release},
	{"an old term is fenced everywhere", oldTermFenced},
	{"one of many gets a free lease", acquireRace},
	{"owners who race commit one history", commitRace},
	{"schema and data are there when opened again", openedAgain},
}

func firstAcquire(t *testing.T, d *database) {
	term, p, err := d.Committed(t.Context(), 0)
	if must(t, err); term != 0 || p != (node.Position{}) {
		t.Errorf("committed before: term %d at %+v, want nothing", term, p)
	}
	l, err := d.Acquire(t.Context(), 0, "a", long, initial)
	must(t, err)
	if want := (nodestore.Lease{Partition: 0, Owner: "a", Term: 1}); l != want {
		t.Errorf("lease %+v, want %+v", l, want)
	}
	snapshot, err := Load(t.Context(), d, l)
	must(t, err)
	want := node.Clock{Position: node.Position{Epoch: 1}, Settings: initial}
	diff(t, "clock", snapshot.Clock, want)
	if len(snapshot.Nodes) != 0 || len(snapshot.Deleted) != 0 {
		t.Errorf("a new partition holds %d nodes and %d tombstones", len(snapshot.Nodes), len(snapshot.Deleted))
	}
	l, err = d.Acquire(t.Context(), 0, "a", long, node.Settings{Threshold: time.Second, MaxNodes: 1})
	must(t, err)
	snapshot, err = Load(t.Context(), d, l)
	must(t, err)
	diff(t, "settings change through the stream alone: clock", snapshot.Clock, want)
}

func leaseHeld(t *testing.T, d *database) {
	other := d.again(t)
	first, err := d.Acquire(t.Context(), 0, "a", long, initial)
	must(t, err)
	_, err = other.Acquire(t.Context(), 0, "b", long, initial)
	wantErr(t, "another acquires", err, nodestore.ErrHeld)
	second, err := other.Acquire(t.Context(), 0, "a", long, initial)
	if must(t, err); second.Term != first.Term+1 {
		t.Errorf("taken again by its owner: term %d after %d", second.Term, first.Term)
	}
	term, _, err := d.Committed(t.Context(), 0)
	if must(t, err); term != second.Term {
		t.Errorf("committed term %d, want %d", term, second.Term)
	}
}

func partitionsApart(t *testing.T, d *database) {
	a := acquire(t, d, "a")
	other, err := d.Acquire(t.Context(), 1, "b", long, initial)
	must(t, err)
	a.commit(t, node.Changes{Nodes: []node.Node{{ID: "n", State: node.Up}}, Deleted: map[string]node.Stamp{"x": 1}})
	snapshot, err := Load(t.Context(), d, other)
	must(t, err)
	if len(snapshot.Nodes)+len(snapshot.Deleted) != 0 || snapshot.Clock.Position.Seq != 0 {
		t.Errorf("partition 1 has what was committed to partition 0: %+v", snapshot)
	}
}

func leaseRunsOut(t *testing.T, d *database) {
	const ttl = time.Second
	other := d.again(t)
	began := time.Now()
	first, err := d.Acquire(t.Context(), 0, "a", ttl, initial)
	must(t, err)
	var second nodestore.Lease
	eventually(t, "another gets it", func() bool {
		second, err = other.Acquire(t.Context(), 0, "b", ttl, initial)
		if err != nil && !errors.Is(err, nodestore.ErrHeld) {
			t.Fatal(err)
		}
		return err == nil
	})
	if waited := time.Since(began); waited < ttl {
		t.Errorf("it was taken over after %v, before %v had passed", waited, ttl)
	}
	if second.Term != first.Term+1 {
		t.Errorf("term %d after %d", second.Term, first.Term)
	}
	wantErr(t, "the first renews", d.Renew(t.Context(), first, ttl), nodestore.ErrFenced)
}

func renewLasts(t *testing.T, d *database) {
	const ttl = 300 * time.Millisecond
	l, err := d.Acquire(t.Context(), 0, "a", ttl, initial)
	must(t, err)
	must(t, d.Renew(t.Context(), l, long))
	pass(t, d, 2*ttl)
	_, err = d.Acquire(t.Context(), 0, "b", ttl, initial)
	wantErr(t, "another acquires after a renewal", err, nodestore.ErrHeld)
	must(t, d.Renew(t.Context(), l, time.Nanosecond))
	_, err = d.Acquire(t.Context(), 0, "b", ttl, initial)
	must(t, err)
}

func release(t *testing.T, d *database) {
	a, err := d.Acquire(t.Context(), 0, "a", long, initial)
	must(t, err)
	must(t, d.Release(t.Context(), a))
	b, err := d.Acquire(t.Context(), 0, "b", long, initial)
	if must(t, err); b.Term != a.Term+1 {
		t.Errorf("term %d after %d", b.Term, a.Term)
	}
	must(t, d.Release(t.Context(), a)) // taken over meanwhile
	_, err = d.Acquire(t.Context(), 0, "c", long, initial)
	wantErr(t, "after a late release", err, nodestore.ErrHeld)
}

func oldTermFenced(t *testing.T, d *database) {
	old := acquire(t, d, "a")
	must(t, d.Release(t.Context(), old.Lease))
	current := acquire(t, d, "b")
	none := nodestore.Lease{Partition: 9, Owner: "a", Term: 1} // a partition that does not exist
	never := nodestore.Lease{Partition: 0, Owner: "b", Term: current.Term + 1}
	for _, l := range []nodestore.Lease{old.Lease, none, never} {
		c := node.Changes{Clock: node.Clock{Position: old.next()}}
		_, loadErr := Load(t.Context(), d, l)
		_, pruneErr := d.Prune(t.Context(), l, 0, 10)
		_, recordErr := d.Record(t.Context(), l, old.event(0, node.Event{Kind: node.Stalled}))
		for what, err := range map[string]error{
			"renew": d.Renew(t.Context(), l, long), "load": loadErr, "prune": pruneErr,
			"commit": d.Commit(t.Context(), l, old.at, c),
			"record": recordErr,
		} {
			wantErr(t, fmt.Sprintf("%s with %+v", what, l), err, nodestore.ErrFenced)
		}
	}
	events, err := d.Events(t.Context(), "", 10)
	if must(t, err); len(events) != 0 {
		t.Errorf("a fenced owner wrote %+v", events)
	}
}

func acquireRace(t *testing.T, d *database) {
	stores := []nodestore.Store{d, d.again(t)}
	results := make([]error, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			_, results[i] = stores[i%2].Acquire(t.Context(), 0, fmt.Sprint("owner ", i), long, initial)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
			continue
		}
		wantErr(t, "a loser", err, nodestore.ErrHeld)
	}
	if won != 1 {
		t.Errorf("%d of %d got the lease", won, len(results))
	}
}

// commitRace lets owners whose leases run out at once commit against each other. Each commit adds one to a node's
// sequence and stores one event: all three counts must agree with the commits that were answered.
func commitRace(t *testing.T, d *database) {
	stores := []nodestore.Store{d, d.again(t)}
	counts := make([]int, 4)
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for range 8 {
				n, err := tenure(t.Context(), stores[i%2], fmt.Sprint("owner ", i))
				if err != nil {
					t.Error(err)
				}
				counts[i] += n
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	o := acquire(t, d, "owner 0")
	snapshot, err := Load(t.Context(), d, o.Lease)
	must(t, err)
	events, err := d.Events(t.Context(), "", 1000)
	must(t, err)
	if len(snapshot.Nodes) != 1 || snapshot.Nodes[0].Seq != int64(total) || o.at.Seq != uint64(total) || len(events) != total {
		t.Errorf("%d commits were answered; nodes %+v, position %+v, %d events", total, snapshot.Nodes, o.at, len(events))
	}
}

// tenure commits a few times and returns how many commits succeeded, until it is fenced.
func tenure(ctx context.Context, s nodestore.Store, name string) (commits int, err error) {
	l, err := s.Acquire(ctx, 0, name, time.Nanosecond, initial)
	if errors.Is(err, nodestore.ErrHeld) { // another was faster
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	snapshot, err := Load(ctx, s, l)
	o := &owner{Lease: l, store: s, at: snapshot.Clock.Position, clock: snapshot.Clock}
	for range 5 {
		if errors.Is(err, nodestore.ErrFenced) {
			return commits, nil
		}
		if err != nil {
			return commits, err
		}
		err = o.try(ctx, node.Changes{
			Nodes:  []node.Node{{ID: "n", State: node.Up, Seq: int64(o.next().Seq)}},
			Events: []node.Event{o.event(0, change("n", node.Up, node.Down))},
		})
		if err == nil {
			commits++
		}
	}
	if errors.Is(err, nodestore.ErrFenced) {
		err = nil
	}
	return commits, err
}

func openedAgain(t *testing.T, d *database) {
	a := acquire(t, d, "a")
	a.commit(t, node.Changes{Nodes: []node.Node{{ID: "n", State: node.Up}}})
	b := acquire(t, d.again(t), "a")
	if b.at != a.at {
		t.Errorf("position %+v, want %+v", b.at, a.at)
	}
	nodes, err := b.store.Nodes(t.Context(), nodestore.NodeQuery{})
	if must(t, err); len(nodes) != 1 {
		t.Errorf("nodes %+v, want one", nodes)
	}
}
