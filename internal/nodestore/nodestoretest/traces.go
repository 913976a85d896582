package nodestoretest

import (
	"fmt"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var traceChecks = []check{
	{"a notification has the traces of its events", tracesOfNotification},
	{"traces go with their events", tracesGo},
}

// tellTraced commits an event whose trace is known.
func (o *owner) tellTraced(t *testing.T, e node.Event, parent string) string {
	t.Helper()
	id := o.next()
	event := node.EventID{Epoch: id.Epoch, Partition: o.Partition, Seq: id.Seq}
	told := o.tell(t, e)
	must(t, o.store.AddTraces(t.Context(), []nodestore.EventTrace{{Event: event, Parent: parent}}))
	return told
}

func tracesOfNotification(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c, other := join(t, d, "chat"), join(t, d, "other")
	must(t, d.AddTraces(t.Context(), nil))
	var ids []string
	// The tenth event comes before the second where they are ordered as texts.
	for i, parent := range []string{"z", "y", "z", "", "x", "", "", "", "", "w", "y"} {
		e := change(fmt.Sprint("n", i), node.Up, node.Down)
		if parent == "" {
			ids = append(ids, o.tell(t, e))
			continue
		}
		ids = append(ids, o.tellTraced(t, e, parent))
	}
	// The first one that is stored stays, and the others of the same call are stored all the same.
	at := func(seq uint64) node.EventID { return node.EventID{Epoch: o.at.Epoch, Seq: seq} }
	first := o.at.Seq - uint64(len(ids)) + 1
	must(t, d.AddTraces(t.Context(), []nodestore.EventTrace{{Event: at(first), Parent: "late"}, {Event: at(first + 3), Parent: "v"}}))
	c.collect(t)
	other.collect(t)
	n := c.freeze(t, 0, ids...)
	for limit, want := range map[int][]string{10: {"z", "y", "v", "x", "w"}, 2: {"z", "y"}} {
		got, err := d.Traces(t.Context(), n.ID, limit)
		must(t, err)
		diff(t, "traces", got, want)
	}
	got, err := d.Traces(t.Context(), n.ID+1, 10)
	if must(t, err); len(got) != 0 {
		t.Errorf("of no notification: %v", got)
	}
	if err := d.AddTraces(t.Context(), []nodestore.EventTrace{{Event: at(1 << 40), Parent: "x"}}); err == nil {
		t.Error("the trace of an event that does not exist was stored")
	}
}

func tracesGo(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	id := node.EventID{Epoch: o.next().Epoch, Seq: o.next().Seq}
	event := change("n", node.Up, node.Down)
	o.tellTraced(t, event, "x")
	n, err := d.Prune(t.Context(), o.Lease, 0, 10)
	if must(t, err); n != 1 {
		t.Fatalf("%d events pruned", n)
	}
	// Its id comes again, as it does after a restored backup: the old trace is not the new event's.
	event.ID, event.At = id, 1
	must(t, d.Commit(t.Context(), o.Lease, o.at, node.Changes{Clock: node.Clock{Position: o.next()}, Events: []node.Event{event}}))
	c := join(t, d, "chat")
	c.collect(t)
	if got, err := d.Traces(t.Context(), c.freeze(t, 0, id.String()).ID, 10); err != nil || len(got) != 0 {
		t.Errorf("traces %v, %v", got, err)
	}
}
