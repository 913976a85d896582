package nodestoretest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func heldAndFreed(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	failure := o.tell(t, change("b", node.Up, node.Down))
	c.collect(t)
	c.tell(t, 11, failure)
	o.commitNodes(t, node.Node{ID: "b", State: node.Down, Incident: 77})
	want := make(map[string]nodestore.Held)
	for _, id := range []string{"c", "a", "b"} {
		first := o.next().Stamp
		o.tell(t, change(id, node.Down, node.Up))
		last := o.tell(t, change(id, node.Up, node.Lost))
		want[id] = nodestore.Held{Alert: nodestore.Alert{ID: last}, Alerts: 2, First: first}
	}
	c.asked(t, always(nodestore.Choice{Held: nodestore.Silenced}))
	page := func(after string, limit int) (names []string) {
		hs, err := d.Held(t.Context(), c.ChatLease, nodestore.Silenced, after, 0, 0, limit)
		must(t, err)
		for _, h := range hs {
			w := want[h.NodeID]
			if h.ID != w.ID || h.Alerts != w.Alerts || h.First != w.First || h.To != node.Lost {
				t.Errorf("%s: %+v, want %+v", h.NodeID, h, w)
			}
			known := h.NodeID == "b"
			if (h.Known == node.Down && h.ReplyTo == 11 && h.Incident == 77) != known || (h.Known != "") != known {
				t.Errorf("%s: known %q by message %d, incident %d", h.NodeID, h.Known, h.ReplyTo, h.Incident)
			}
			names = append(names, h.NodeID)
		}
		return names
	}
	diff(t, "the first page", page("", 2), []string{"a", "b"})
	diff(t, "the second page", page("b", 2), []string{"c"})
	must(t, d.Free(t.Context(), c.ChatLease, []nodestore.Release{
		{NodeID: "a", Held: nodestore.Silenced, Mark: nodestore.Silenced}, {NodeID: "b", Held: nodestore.Silenced, Untold: nodestore.Silenced},
		{NodeID: "c", Held: nodestore.Flapping, Mark: "of another reason"},
	}))
	diff(t, "left", page("", 9), []string{"c"})
	alerts := c.waiting(t)
	if len(alerts) != 2 || alerts[0].NodeID != "a" || alerts[1].Mark != nodestore.Silenced {
		t.Errorf("freed: %+v", alerts)
	}
	must(t, d.Free(t.Context(), c.ChatLease, []nodestore.Release{{NodeID: "c", Held: nodestore.Silenced, Hold: nodestore.Flapping}}))
	diff(t, "held for another reason", page("", 9), []string(nil))
	if n := len(c.waiting(t)); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	all, err := d.Tellings(t.Context(), "b", 9)
	must(t, err)
	if len(all) != 3 || all[0].Untold != nodestore.Silenced || all[0].Waiting || all[2].Message != 11 {
		t.Errorf("the record of b: %+v", all)
	}
}

func held(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c, other := join(t, d, "chat"), join(t, d, "other")
	known := o.tell(t, change("a", node.Up, node.Down))
	c.collect(t)
	c.tell(t, 11, known)
	down := func(id, meta string) string {
		e := change(id, node.Up, node.Down)
		e.Meta = meta
		return o.tell(t, e)
	}
	a, b := down("a", "dc=home"), down("b", "dc=lab")
	monitor := o.tell(t, node.Event{Kind: node.Deaf})
	c.collect(t)
	other.collect(t)
	var asked []string
	must(t, d.Hold(t.Context(), c.ChatLease, nodestore.Silenced, func(nodeID, meta string) bool {
		asked = append(asked, nodeID+" "+meta)
		return meta == "dc=home"
	}))
	slices.Sort(asked)
	diff(t, "asked about", asked, []string{"a dc=home", "b dc=lab"})
	c.wantWaiting(t, b, monitor)
	other.wantWaiting(t, known, a, b, monitor)
	hs, err := d.Held(t.Context(), c.ChatLease, nodestore.Silenced, "", 0, 0, 9)
	must(t, err)
	if len(hs) != 1 || hs[0].ID != a || hs[0].Known != node.Down {
		t.Errorf("held: %+v", hs)
	}
	_, err = d.TakeOverChat(t.Context(), seen(t, d, "chat"), "another", long)
	must(t, err)
	wantErr(t, "a lease that was taken over",
		d.Hold(t.Context(), c.ChatLease, nodestore.Silenced, func(string, string) bool { return true }), nodestore.ErrFenced)
}

func flaps(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	began := o.next().Stamp
	o.tell(t, change("n", node.Up, node.Down))
	o.tell(t, change("m", node.Up, node.Down))
	c.asked(t, always(nodestore.Choice{Mark: nodestore.Flapping}))
	o.tell(t, change("n", node.Down, node.Up))
	last := o.stamp()
	if got := c.asked(t, always(nodestore.Choice{Held: nodestore.Flapping})); got[0].FlapSince != began || got[0].FlapLast != began {
		t.Errorf("asked about a node that flaps: %+v", got[0])
	}
	due := func(lastChange, since node.Stamp) (out []string) {
		hs, err := d.Held(t.Context(), c.ChatLease, nodestore.Flapping, "", lastChange, since, 9)
		must(t, err)
		for _, h := range hs {
			out = append(out, fmt.Sprint(h.NodeID, h.Alerts, h.FlapLast))
		}
		return out
	}
	m, n := fmt.Sprint("m", 0, began+1000), fmt.Sprint("n", 1, last)
	diff(t, "none is due", due(began-1, began-1), []string(nil))
	diff(t, "quiet for long", due(began+1000, 0), []string{m})
	diff(t, "flapping for long", due(0, began), []string{n})
	diff(t, "both", due(last, began), []string{m, n})
	must(t, d.Free(t.Context(), c.ChatLease, []nodestore.Release{
		{NodeID: "m", Held: nodestore.Flapping, EndFlap: true},
		{NodeID: "n", Held: nodestore.Flapping, Mark: nodestore.Flapping, FlapSince: last + 5},
	}))
	diff(t, "one goes on, from then", due(last, last+4), []string{fmt.Sprint("n", 0, last)})
	alerts := c.waiting(t)
	if len(alerts) != 3 || alerts[2].Mark != nodestore.Flapping {
		t.Errorf("waiting: %+v", alerts)
	}
	o.tell(t, change("n", node.Up, node.Down))
	o.tell(t, change("m", node.Down, node.Up))
	got := c.asked(t, always(nodestore.Choice{}))
	if got[0].FlapSince != last+5 || got[0].FlapLast != last || got[1].FlapSince != 0 {
		t.Errorf("asked: %+v", got)
	}
}
