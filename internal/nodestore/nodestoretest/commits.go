package nodestoretest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var commitChecks = []check{
	{"a fenced commit writes nothing", fencedCommit},
	{"a commit that was called off is all or nothing", cancelledCommit},
	{"removed nodes go before nodes are written", removeThenWrite},
	{"tombstones are set and removed", tombstones},
	{"an event that is stored stays as it is", eventKept},
	{"an annotation that is stored stays as it is", annotationKept},
	{"a recorded event needs the term alone", record},
	{"the position can be asked for by anybody", committed},
	{"a position of another epoch may be lower", newEpoch},
	{"random changes give what the model gives", randomChanges},
	{"large commits are stored whole", largeCommit},
	{"a commit leaves the caller's changes alone", changesUntouched},
}

// diff compares as a whole: a field that a test forgot must not go unnoticed.
func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// state is all that a commit may change.
func state(t *testing.T, o *owner) (out []any) {
	t.Helper()
	snapshot, err := Load(t.Context(), o.store, o.Lease)
	must(t, err)
	events, err := o.store.Events(t.Context(), "", 1000)
	must(t, err)
	annotations, err := o.store.Annotations(t.Context(), "kept", 1000)
	must(t, err)
	return []any{snapshot, events, annotations}
}

func fencedCommit(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commit(t, node.Changes{Nodes: []node.Node{{ID: "kept", State: node.Up}}, Deleted: map[string]node.Stamp{"gone": 5}})
	before := state(t, o)
	c := node.Changes{
		Clock: node.Clock{Position: o.next()}, Nodes: []node.Node{{ID: "new"}, {ID: "kept", State: node.Down}},
		Removed: []string{"kept"}, Deleted: map[string]node.Stamp{"gone": 0, "kept": 9},
		Events:      []node.Event{o.event(0, change("new", node.Up, node.Down))},
		Annotations: []node.Annotation{{NodeID: "kept", At: 5, Status: "DOWN"}},
	}
	cases := map[string]struct {
		lease nodestore.Lease
		from  node.Position
	}{
		"another term":      {nodestore.Lease{Owner: "a", Term: o.Term + 1}, o.at},
		"another epoch":     {o.Lease, node.Position{Epoch: o.at.Epoch + 1, Seq: o.at.Seq}},
		"an older position": {o.Lease, node.Position{Epoch: o.at.Epoch, Seq: o.at.Seq - 1}},
		"a later position":  {o.Lease, node.Position{Epoch: o.at.Epoch, Seq: o.at.Seq + 1}},
		"another partition": {nodestore.Lease{Partition: 5, Owner: "a", Term: o.Term}, o.at},
	}
	for name, tc := range cases {
		wantErr(t, name, d.Commit(t.Context(), tc.lease, tc.from, c), nodestore.ErrFenced)
		diff(t, name, state(t, o), before)
	}
	// Only epoch and sequence make a position; and the same commit goes through where it belongs.
	must(t, d.Commit(t.Context(), o.Lease, node.Position{Epoch: o.at.Epoch, Seq: o.at.Seq}, c))
	wantErr(t, "the same commit twice", d.Commit(t.Context(), o.Lease, o.at, c), nodestore.ErrFenced)
}

func cancelledCommit(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.try(ctx, node.Changes{Nodes: []node.Node{{ID: "n"}}}); err == nil {
		t.Error("a commit that was called off before it began succeeded")
	}
	for i := range 20 { // and called off at some moment
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		err := o.try(ctx, node.Changes{
			Nodes:  []node.Node{{ID: "n", Seq: int64(o.next().Seq)}},
			Events: []node.Event{o.event(0, change("n", node.Up, node.Down))},
		})
		at := committedAt(t, d)
		if err == nil && at.Seq != o.at.Seq {
			t.Fatalf("round %d: committed at %d, stored %d", i, o.at.Seq, at.Seq)
		}
		var snapshot node.Snapshot
		var events []nodestore.StoredEvent
		for settled := false; !settled; { // a server goes on with a commit whose client is gone already
			o.at = at
			snapshot, err = Load(t.Context(), d, o.Lease)
			must(t, err)
			events, err = d.Events(t.Context(), "n", 1000)
			must(t, err)
			at = committedAt(t, d)
			settled = at == o.at
		}
		if len(events) != int(at.Seq) || (at.Seq > 0 && (len(snapshot.Nodes) != 1 || snapshot.Nodes[0].Seq != int64(at.Seq))) {
			t.Fatalf("round %d: at %d there are nodes %+v and %d events", i, at.Seq, snapshot.Nodes, len(events))
		}
	}
}

func committedAt(t *testing.T, d *database) node.Position {
	t.Helper()
	_, at, err := d.Committed(t.Context(), 0)
	must(t, err)
	return at
}

func removeThenWrite(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commit(t, node.Changes{Nodes: []node.Node{{ID: "a", State: node.Down, Name: "old"}, {ID: "b", State: node.Up}}})
	o.commit(t, node.Changes{Removed: []string{"a", "b", "never there"}, Nodes: []node.Node{{ID: "a", State: node.Up}}})
	snapshot, err := Load(t.Context(), d, o.Lease)
	must(t, err)
	diff(t, "nodes", snapshot.Nodes, []node.Node{{ID: "a", State: node.Up}})
}

func tombstones(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for _, step := range []struct{ set, want map[string]node.Stamp }{
		{map[string]node.Stamp{"a": 5, "b": 6}, map[string]node.Stamp{"a": 5, "b": 6}},
		{map[string]node.Stamp{"a": 9}, map[string]node.Stamp{"a": 9, "b": 6}},
		{map[string]node.Stamp{"b": 0, "c": 0}, map[string]node.Stamp{"a": 9}},
		{nil, map[string]node.Stamp{"a": 9}},
		{map[string]node.Stamp{"a": 0}, map[string]node.Stamp{}},
	} {
		o.commit(t, node.Changes{Deleted: step.set})
		snapshot, err := Load(t.Context(), d, o.Lease)
		must(t, err)
		diff(t, fmt.Sprintf("after %v", step.set), snapshot.Deleted, step.want)
	}
}

func eventKept(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	e := o.event(0, change("n", node.Up, node.Down))
	o.commit(t, node.Changes{Events: []node.Event{e}})
	before := state(t, o)[1]
	again := e
	again.Reason, again.NodeID = "another", "other"
	o.commit(t, node.Changes{Events: []node.Event{again}})
	if added, err := d.Record(t.Context(), o.Lease, again); err != nil || added {
		t.Errorf("recorded over an event that exists: added %v, %v", added, err)
	}
	diff(t, "events", state(t, o)[1], before)
}

func annotationKept(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	first := node.Annotation{NodeID: "n", At: 5, Status: "DOWN", Reason: "no_process", Evidence: "none", Heard: 9}
	o.commit(t, node.Changes{Annotations: []node.Annotation{first}})
	again, up, later, other := first, first, first, first
	again.Reason, again.Evidence, again.Heard = "another", "another", 10
	up.Status = "UP"
	later.At = 6
	other.NodeID = "m"
	// The same one twice in one commit, too.
	o.commit(t, node.Changes{Annotations: []node.Annotation{again, later, again, up, up, other}})
	for limit, want := range map[int][]node.Annotation{10: {later, up, first}, 2: {later, up}} {
		got, err := d.Annotations(t.Context(), "n", limit)
		must(t, err)
		diff(t, fmt.Sprint("newest ", limit), got, want)
	}
}

func record(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	first := o.event(0, change("n", node.Up, node.Down))
	o.commit(t, node.Changes{Events: []node.Event{first}})
	stalled := node.Event{ID: first.ID, Kind: node.Stalled, At: 5}
	stalled.ID.Ordinal = 1 << 20
	for first := range 2 {
		if added, err := d.Record(t.Context(), o.Lease, stalled); err != nil || added != (first == 0) {
			t.Errorf("record: added %v, %v, the first time: %v", added, err, first == 0)
		}
	}
	later := o.event(0, change("n", node.Down, node.Up))
	o.commit(t, node.Changes{Events: []node.Event{later}}) // the position did not move meanwhile
	events, err := d.Events(t.Context(), "", 10)
	must(t, err)
	var kinds []node.Kind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	diff(t, "kinds, newest first", kinds, []node.Kind{node.Changed, node.Stalled, node.Changed})
}

func committed(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commit(t, node.Changes{})
	term, at, err := d.again(t).Committed(t.Context(), 0)
	if must(t, err); term != o.Term || at != o.at {
		t.Errorf("term %d at %+v, want %d at %+v", term, at, o.Term, o.at)
	}
}

func newEpoch(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	for range 3 {
		o.commit(t, node.Changes{})
	}
	to := node.Position{Epoch: o.at.Epoch + 1, Created: 99, Seq: 1, Stamp: -5}
	must(t, d.Commit(t.Context(), o.Lease, o.at, node.Changes{Clock: node.Clock{Position: to}}))
	_, at, err := d.Committed(t.Context(), 0)
	must(t, err)
	diff(t, "position", at, to)
}

// randomChanges compares the store with a model of it in memory.
func randomChanges(t *testing.T, d *database) {
	r := rand.New(rand.NewPCG(1, 2))
	o := acquire(t, d, "a")
	model, err := Load(t.Context(), d, o.Lease)
	must(t, err)
	id := func() string { return fmt.Sprint("node ", r.IntN(12)) }
	for i := range 60 {
		c := node.Changes{Deleted: map[string]node.Stamp{}}
		for range r.IntN(6) {
			c.Nodes = append(c.Nodes, node.Node{ID: id(), State: node.Up, Seq: r.Int64(), Meta: fmt.Sprint(i), OS: "linux"})
		}
		for _, n := range model.Nodes {
			switch r.IntN(4) {
			case 0:
				c.Heard = append(c.Heard, node.Heard{ID: n.ID, Seq: r.Int64(), Metrics: fmt.Sprint(i)})
			case 1:
				c.Judged = append(c.Judged, node.Judged{ID: n.ID, State: node.Lost, Since: node.Stamp(r.Int64())})
			case 2:
				c.Altered = append(c.Altered, node.Node{ID: n.ID, State: node.Lost, Seq: r.Int64()})
			}
		}
		for range r.IntN(3) {
			gone := id()
			c.Removed = append(c.Removed, gone)
			c.Deleted[gone] = node.Stamp(r.IntN(3))
		}
		o.commit(t, c)
		c.Clock = o.clock
		c.Clock.Position = o.at
		model = nodetest.Store(model, c)
		got, err := Load(t.Context(), d, o.Lease)
		must(t, err)
		if len(model.Nodes) == 0 {
			model.Nodes = got.Nodes[:0]
		}
		nodes, err := d.Nodes(t.Context(), nodestore.NodeQuery{})
		must(t, err)
		diff(t, fmt.Sprint("nodes after commit ", i), append(model.Nodes[:0:0], nodes...), model.Nodes)
		want := model
		want.Nodes = loadable(model.Nodes...)
		if diff(t, fmt.Sprint("after commit ", i), got, want); t.Failed() {
			return
		}
	}
}

// largeCommit is larger than any engine writes in one statement.
func largeCommit(t *testing.T, d *database) {
	const size = 6_000
	o := acquire(t, d, "a")
	var c node.Changes
	for i := range size {
		id := fmt.Sprintf("node-%06d", i)
		c.Nodes = append(c.Nodes, node.Node{ID: id, State: node.Up, Seq: int64(i)})
		c.Events = append(c.Events, o.event(i, node.Event{Kind: node.Joined, NodeID: id, To: node.Up}))
	}
	o.commit(t, c)
	snapshot, err := Load(t.Context(), d, o.Lease)
	must(t, err)
	if !reflect.DeepEqual(snapshot.Nodes, c.Nodes) {
		t.Errorf("%d of %d nodes are stored, or they differ", len(snapshot.Nodes), size)
	}
	events, err := d.Events(t.Context(), "", size+1)
	must(t, err)
	if len(events) != size || !reflect.DeepEqual(events[0].Event, c.Events[size-1]) {
		t.Errorf("%d of %d events are stored, or the last differs", len(events), size)
	}
	c = node.Changes{}
	for _, n := range snapshot.Nodes {
		c.Removed = append(c.Removed, n.ID)
	}
	o.commit(t, c)
	nodes, err := d.Nodes(t.Context(), nodestore.NodeQuery{})
	if must(t, err); len(nodes) != 0 {
		t.Errorf("%d nodes are left", len(nodes))
	}
}

func changesUntouched(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	sample := func() node.Changes {
		return node.Changes{
			Nodes:   []node.Node{{ID: "b\x00"}, {ID: "a\xff"}},
			Heard:   []node.Heard{{ID: "b\x00", Metrics: "\xff"}},
			Judged:  []node.Judged{{ID: "b\x00", Reason: "\xff"}},
			Altered: []node.Node{{ID: "b\x00", Name: "\xff"}},
			Removed: []string{"z\x00", "y"},
			Deleted: map[string]node.Stamp{"x\x00": 1},
			Events:  []node.Event{o.event(0, node.Event{Kind: node.Joined, NodeID: "b\x00", Name: "\xff"})},
		}
	}
	c, want := sample(), sample()
	o.commit(t, c)
	diff(t, "the caller's changes", c, want)
}
