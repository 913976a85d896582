package nodestoretest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

func digest(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	empty, err := d.Digest(t.Context(), c.ChatLease, 5, 5)
	if must(t, err); empty.Alerts != 0 || empty.Entries != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
	because := func(id string, to node.State, reason string) node.Event {
		e := change(id, node.Up, to)
		e.Reason = reason
		return e
	}
	from := o.next().Stamp
	told := o.tell(t, change("told", node.Up, node.Down)) // no part of it
	events := []node.Event{
		because("d1", node.Down, "x"), because("d2", node.Down, "x"), because("d3", node.Down, "y"), because("l1", node.Lost, "silent"),
		because("back", node.Down, "x"), change("back", node.Down, node.Up),
		change("up", node.Down, node.Up),
		because("worse", node.Degraded, "x"), because("worse", node.Down, "z"),
		{Kind: node.Joined, NodeID: "new", To: node.Up}, {Kind: node.Doubled, NodeID: "d1"},
		{Kind: node.Deaf, Reason: "why"}, {Kind: node.Hearing}, {Kind: node.Blind},
	}
	c.collect(t)
	c.tell(t, 3, told)
	for _, e := range events {
		o.tell(t, e)
	}
	last := o.tell(t, because("d4", node.Down, "x"))
	c.collect(t)
	got, err := d.Digest(t.Context(), c.ChatLease, 2, 3)
	must(t, err)
	if got.Alerts != 15 || got.Entries != 12 || got.Last.String() != last || got.From != from+1000 || got.To != o.stamp() {
		t.Errorf("%+v", got)
	}
	if first := c.waiting(t)[0]; !got.Oldest.Equal(first.Found) {
		t.Errorf("oldest %v, want %v", got.Oldest, first.Found)
	}
	counts := make(map[string]int)
	for _, c := range got.Counts {
		counts[fmt.Sprint(c.Kind, " ", c.To, " ", c.Back)] += c.Entries
	}
	diff(t, "counts", counts, map[string]int{
		"changed down false": 5, "changed lost false": 1, "changed up false": 1, "changed up true": 1, "joined up false": 1,
		"doubled  false": 1, "hearing  false": 1, "blind  false": 1,
	})
	var reasons []string
	for _, r := range got.Reasons {
		reasons = append(reasons, fmt.Sprint(r.To, " ", r.Reason, " ", r.Entries))
	}
	diff(t, "reasons", reasons, []string{"down x 3", "lost silent 1"})
	var first []string
	for _, a := range got.First {
		first = append(first, a.NodeID)
	}
	var monitor []node.Kind
	for _, a := range got.Monitor {
		monitor = append(monitor, a.Kind)
	}
	diff(t, "monitor events", monitor, []node.Kind{node.Hearing, node.Blind})
	diff(t, "first failures", first, []string{"d1", "d2", "d3"})
}

func freezeUpTo(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	var ids []string
	for i := range 5 {
		ids = append(ids, o.tell(t, change(fmt.Sprint(i), node.Up, node.Down)))
	}
	c.collect(t)
	n, err := d.Freeze(t.Context(), c.ChatLease, nodestore.Draft{
		Text: "three", Alerts: 3, Last: eventID(ids[2]), NodeID: "0", Incident: 9,
	})
	must(t, err)
	if n.Alerts != 3 || n.NodeID != "0" || n.Incident != 9 {
		t.Errorf("notification %+v", n)
	}
	read, err := d.Notification(t.Context(), n.ID)
	must(t, err)
	diff(t, "read again", read, n)
	if _, err := d.Notification(t.Context(), n.ID+99); !errors.Is(err, nodestore.ErrNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 1))
	c.wantWaiting(t, ids[3:]...)
}

func onceOnly(t *testing.T, d *database) {
	c, other := join(t, d, "chat"), join(t, d, "other")
	r := []nodestore.Reminder{{NodeID: "n", Incident: 5, Nth: 1}, {NodeID: "m", Incident: 6, Nth: 2}}
	send := func(c *chat, what string, d nodestore.Draft, ok bool) {
		t.Helper()
		d.Text = what
		n, err := c.store.Freeze(t.Context(), c.ChatLease, d)
		if (err == nil) != ok {
			t.Fatalf("%s: %v", what, err)
		}
		if err == nil {
			must(t, c.store.Told(t.Context(), c.ChatLease, n.ID, 1))
		}
		if c.frozen(t) != nil {
			t.Fatalf("%s: frozen after all", what)
		}
	}
	summed := func(c *chat) bool {
		done, err := c.store.Summed(t.Context(), c.ChatLease, "2026-03-01")
		must(t, err)
		return done
	}
	send(c, "reminders", nodestore.Draft{Reminders: r}, true)
	send(c, "one of them again", nodestore.Draft{Reminders: r[1:]}, false)
	send(c, "the next", nodestore.Draft{Reminders: []nodestore.Reminder{{NodeID: "n", Incident: 5, Nth: 2}}}, true)
	send(c, "of the next incident", nodestore.Draft{Reminders: []nodestore.Reminder{{NodeID: "n", Incident: 7, Nth: 1}}}, true)
	send(other, "to another chat", nodestore.Draft{Reminders: r}, true)
	if summed(c) {
		t.Error("summed up before")
	}
	send(c, "a day", nodestore.Draft{Summary: "2026-03-01"}, true)
	if !summed(c) || summed(other) {
		t.Error("summed up in the wrong chat")
	}
	send(c, "the day again", nodestore.Draft{Summary: "2026-03-01"}, false)
	send(c, "another day", nodestore.Draft{Summary: "2026-03-02"}, true)
}

func thaw(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c, other := join(t, d, "chat"), join(t, d, "other")
	ids := []string{o.tell(t, change("n", node.Up, node.Down)), o.tell(t, change("m", node.Up, node.Down)), o.tell(t, change("o", node.Up, node.Down))}
	c.collect(t)
	c.tell(t, 5, ids[0])
	draft := draft("x", 0, ids[1])
	draft.Reminders, draft.Summary = []nodestore.Reminder{{NodeID: "n", Incident: 5, Nth: 1}}, "2026-03-01"
	n, err := d.Freeze(t.Context(), c.ChatLease, draft)
	must(t, err)
	if err := d.Thaw(t.Context(), other.ChatLease, n.ID); err == nil {
		t.Error("another chat thawed it")
	}
	c.wantWaiting(t, ids[2])
	must(t, d.Thaw(t.Context(), c.ChatLease, n.ID))
	if c.frozen(t) != nil {
		t.Error("still frozen")
	}
	c.wantWaiting(t, ids[1:]...)
	if err := d.Thaw(t.Context(), c.ChatLease, n.ID); err == nil {
		t.Error("thawed twice")
	}
	n, err = d.Freeze(t.Context(), c.ChatLease, draft) // its reminders and summary are free, too
	must(t, err)
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 6))
	if err := d.Thaw(t.Context(), c.ChatLease, n.ID); err == nil {
		t.Error("thawed after it was told")
	}
	c.wantWaiting(t, ids[2])
}
