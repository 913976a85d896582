package nodestoretest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var pruneChecks = []check{
	{"old events are pruned, the oldest first", pruneOld},
	{"old annotations are pruned, the oldest first", pruneAnnotations},
	{"annotations beyond what a node may keep are pruned", pruneManyAnnotations},
	{"deliveries and notifications go with their events", pruneDeliveries},
	{"what people said, and reminders, are pruned once their incident is over", pruneRest},
}

// gap is how far apart in time an old and a new event are, enough for a busy machine to hit the middle.
const gap = 2 * time.Second

// oldAndNew commits one event, and others later. It returns the ids and a time in between.
func (o *owner) oldAndNew(t *testing.T, later ...node.Event) (ids []string, between time.Time) {
	t.Helper()
	ids = append(ids, o.tell(t, change("old", node.Up, node.Down)))
	pass(t, o.store, gap)
	for _, e := range later {
		ids = append(ids, o.tell(t, e))
	}
	return ids, found(t, o.store, ids[1]).Add(-gap / 2)
}

func pruneOld(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	ids, between := o.oldAndNew(t, change("new", node.Up, node.Down), change("new", node.Down, node.Up))
	n, err := d.Prune(t.Context(), o.Lease, time.Since(between), 10)
	must(t, err)
	events, err := d.Events(t.Context(), "", 10)
	must(t, err)
	if got := eventIDs(events); n != 1 || len(got) != 2 || got[1] != ids[1] {
		t.Fatalf("pruned %d, left %v of %v, want the last two", n, got, ids)
	}
	n, err = d.Prune(t.Context(), o.Lease, time.Since(between), 10)
	if must(t, err); n != 0 {
		t.Errorf("pruned %d more", n)
	}
	n, err = d.Prune(t.Context(), o.Lease, 0, 1)
	must(t, err)
	events, err = d.Events(t.Context(), "", 10)
	must(t, err)
	if got := eventIDs(events); n != 1 || len(got) != 1 || got[0] != ids[2] {
		t.Errorf("pruned %d with limit 1, left %v, want %v", n, got, ids[2:])
	}
}

// pruneAnnotations goes by when they were found: what their agents say of the time is for people.
func pruneAnnotations(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	note := func(at node.Stamp) node.Changes {
		return node.Changes{Annotations: []node.Annotation{{NodeID: "n", At: at, Status: "UP"}}}
	}
	o.commit(t, note(9))
	o.commit(t, note(5))
	left := func(want ...node.Stamp) {
		t.Helper()
		var got []node.Stamp
		notes, err := d.Annotations(t.Context(), "n", 10)
		must(t, err)
		for _, a := range notes {
			got = append(got, a.At)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("annotations at %v are left, want %v", got, want)
		}
	}
	n, err := d.Prune(t.Context(), o.Lease, time.Hour, 10)
	if must(t, err); n != 0 {
		t.Errorf("pruned %d", n)
	}
	left(9, 5)
	pass(t, d, 10*time.Millisecond)
	n, err = d.Prune(t.Context(), o.Lease, 0, 1)
	if must(t, err); n != 1 {
		t.Errorf("pruned %d, want 1", n)
	}
	left(5)
}

// pruneManyAnnotations keeps the newest of a node, however young the others are, and all of the others' nodes.
func pruneManyAnnotations(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	const more = 7
	var c node.Changes
	for at := range node.Stamp(nodestore.MaxAnnotations + more) {
		c.Annotations = append(c.Annotations, node.Annotation{NodeID: "n", At: at + 1, Status: "UP"})
	}
	c.Annotations = append(c.Annotations, node.Annotation{NodeID: "other", At: 1, Status: "UP"})
	o.commit(t, c)
	for _, want := range []int{5, more - 5, 0} {
		n, err := d.Prune(t.Context(), o.Lease, time.Hour, 5)
		if must(t, err); n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	for id, want := range map[string][2]node.Stamp{"n": {nodestore.MaxAnnotations, more + 1}, "other": {1, 1}} {
		left, err := d.Annotations(t.Context(), id, 2*nodestore.MaxAnnotations)
		if must(t, err); node.Stamp(len(left)) != want[0] || left[len(left)-1].At != want[1] {
			t.Errorf("%s: %d are left, the oldest at %d, want %v", id, len(left), left[len(left)-1].At, want)
		}
	}
}

func pruneDeliveries(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	first := o.tell(t, change("n", node.Up, node.Down))
	second := o.tell(t, change("m", node.Up, node.Down))
	third := o.tell(t, change("o", node.Up, node.Down))
	c.collect(t)
	both := c.freeze(t, 0, first, second)
	must(t, d.Told(t.Context(), c.ChatLease, both.ID, 11))
	c.freeze(t, 0, third)
	prune := func() {
		t.Helper()
		n, err := d.Prune(t.Context(), o.Lease, 0, 1)
		if must(t, err); n != 1 {
			t.Fatalf("pruned %d, want 1", n)
		}
	}
	prune()
	// The notification still tells the second event: it is kept, and the second can be answered.
	recovery := o.tell(t, change("m", node.Down, node.Up))
	c.collect(t)
	c.wantWaiting(t, recovery)
	if got := c.waiting(t)[0].ReplyTo; got != 11 {
		t.Errorf("reply to %d, want 11", got)
	}
	prune()
	if got := c.waiting(t)[0].ReplyTo; got != 0 {
		t.Errorf("reply to %d, though its event is gone", got)
	}
	prune()
	if n := c.frozen(t); n != nil {
		t.Errorf("notification %+v tells nothing any more and is still frozen", n)
	}
	prune()
	c.wantWaiting(t)
	status := c.status(t)
	if status.Waiting != 0 || !status.Oldest.IsZero() {
		t.Errorf("status %+v, want nothing waiting", status)
	}
	// A chat whose history is gone hears of new events.
	id := o.tell(t, change("p", node.Up, node.Down))
	c.collect(t)
	c.wantWaiting(t, id)
}

func pruneRest(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	o.commitNodes(t, node.Node{ID: "n", State: node.Down, Incident: 5})
	now := time.Now()
	_, err := d.AddSilence(t.Context(), nodestore.Silence{Scope: nodestore.ScopeAll, From: now.Add(-long), Until: now.Add(-time.Minute)})
	must(t, err)
	_, err = d.Acknowledge(t.Context(), "n", 5, "ann")
	must(t, err)
	frozen := make(map[string]nodestore.Notification)
	for name, draft := range map[string]nodestore.Draft{
		"a reminder": {Reminders: []nodestore.Reminder{{NodeID: "n", Incident: 5, Nth: 1}}}, "a summary": {Summary: "2026-03-01"},
	} {
		n, err := d.Freeze(t.Context(), c.ChatLease, draft)
		must(t, err)
		must(t, d.Told(t.Context(), c.ChatLease, n.ID, 1))
		frozen[name] = n
	}
	there := func(name string) bool {
		_, err := d.Notification(t.Context(), frozen[name].ID)
		if err != nil && !errors.Is(err, nodestore.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	prune := func() (silences, acknowledgements int) {
		_, err := d.Prune(t.Context(), o.Lease, 0, 10)
		must(t, err)
		quiet, err := d.Silences(t.Context(), now.Add(-long))
		must(t, err)
		acks, err := d.Acknowledgements(t.Context(), []string{"n"})
		must(t, err)
		return len(quiet), len(acks)
	}
	if quiet, acks := prune(); quiet != 0 || acks != 1 || !there("a reminder") || there("a summary") {
		t.Errorf("while the incident lasts: %d silences, %d acknowledgements, reminder %v, summary %v", quiet, acks, there("a reminder"), there("a summary"))
	}
	o.commitNodes(t, node.Node{ID: "n", State: node.Up})
	prune()
	o.commitNodes(t, node.Node{ID: "n", State: node.Down, Incident: 5})
	if _, acks := prune(); acks != 0 || there("a reminder") {
		t.Errorf("after the incident: %d acknowledgements, reminder %v", acks, there("a reminder"))
	}
}
