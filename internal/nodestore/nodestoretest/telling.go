package nodestoretest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var tellingChecks = []check{
	{"a choice gets what it needs to know of each event", candidates},
	{"what is chosen is stored", choices},
	{"a choice gets the silences", choiceOfSilences},
	{"held alerts come by node, and are freed", heldAndFreed},
	{"waiting alerts are held", held},
	{"flapping nodes come when they are due", flaps},
	{"a digest counts entries", digest},
	{"freezing takes what waits up to an event", freezeUpTo},
	{"a reminder and a summary are told once", onceOnly},
	{"what is thawed waits again", thaw},
	{"nodes that fail come with what the chat heard of them", eachFailing},
	{"a chat that moved stays moved", moved},
	{"nothing answers a message of the chat before it moved", movedMessages},
	{"the chat that another moved to goes on where that one stood", succession},
	{"what was told lately burdens a chat", burdens},
	{"what became of alerts is told", tellings},
	{"all nodes and recent events are read", readAll},
}

// commitNodes stores nodes as they are.
func (o *owner) commitNodes(t *testing.T, nodes ...node.Node) {
	t.Helper()
	o.commit(t, node.Changes{Nodes: nodes})
}

func eachFailing(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	put := func(id string, state, told node.State, incident node.Stamp) {
		o.commitNodes(t, node.Node{ID: id, State: state, Told: told, Incident: incident, Meta: "dc=" + id, Reason: "x", Since: 3})
	}
	down := o.tell(t, change("told", node.Up, node.Down))
	c.collect(t)
	c.tell(t, 21, down)
	put("told", node.Down, node.Down, 5)
	put("untold", node.Lost, node.Down, 5)
	put("late", node.Down, node.Down, 50)
	put("up", node.Up, node.Up, 0)
	put("degraded", node.Degraded, node.Degraded, 5)
	put("deaf", node.Lost, node.Up, 5) // all fell silent: not told
	put("acknowledged", node.Down, node.Down, 5)
	put("acknowledged before", node.Down, node.Down, 5)
	put("flaps", node.Down, node.Down, 5)
	put("silenced", node.Down, node.Down, 5)
	_, err := d.Acknowledge(t.Context(), "acknowledged", 5, "ann")
	must(t, err)
	_, err = d.Acknowledge(t.Context(), "acknowledged before", 4, "ann")
	must(t, err)
	o.tell(t, change("flaps", node.Up, node.Down))
	o.tell(t, change("silenced", node.Up, node.Down))
	c.asked(t, func(e nodestore.Candidate) nodestore.Choice {
		if e.NodeID == "flaps" {
			return nodestore.Choice{Mark: nodestore.Flapping}
		}
		return nodestore.Choice{Held: nodestore.Silenced}
	})
	c.tell(t, 22, c.waiting(t)[0].ID)
	for _, nth := range []int64{1, 3} {
		n, err := d.Freeze(t.Context(), c.ChatLease, nodestore.Draft{Reminders: []nodestore.Reminder{
			{NodeID: "untold", Incident: 5, Nth: nth}, {NodeID: "told", Incident: 4, Nth: nth},
		}})
		must(t, err)
		must(t, d.Told(t.Context(), c.ChatLease, n.ID, 9))
	}
	var got []string
	must(t, d.EachFailing(t.Context(), c.ChatLease, 49, func(f nodestore.Failing) error {
		got = append(got, fmt.Sprint(f.NodeID, " ", f.State, " ", f.Meta, " ", f.Incident, " ", f.Nth, " ", f.Message, " ", f.Told.IsZero()))
		return nil
	}))
	diff(t, "failing", got, []string{
		"acknowledged before down dc=acknowledged before 5 0 0 true", "told down dc=told 5 0 21 false", "untold lost dc=untold 5 3 0 true",
	})
	stop := errors.New("enough")
	wantErr(t, "a visit that fails", d.EachFailing(t.Context(), c.ChatLease, 49, func(nodestore.Failing) error { return stop }), stop)
}

func moved(t *testing.T, d *database) {
	c := join(t, d, "chat")
	if c.MovedTo != "" {
		t.Errorf("moved to %q before", c.MovedTo)
	}
	must(t, d.MoveChat(t.Context(), c.ChatLease, "-100123"))
	taken, err := d.TakeOverChat(t.Context(), seen(t, d, "chat"), "another", long)
	must(t, err)
	again, err := d.AcquireChat(t.Context(), "chat", "another", long, long)
	must(t, err)
	if taken.MovedTo != "-100123" || again.MovedTo != "-100123" {
		t.Errorf("taken over: %q, acquired: %q", taken.MovedTo, again.MovedTo)
	}
}

// A supergroup counts its messages from 1, so a number of the old group is another message there.
func movedMessages(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c, other := join(t, d, "chat"), join(t, d, "other")
	down := o.tell(t, change("n", node.Up, node.Down))
	for _, c := range []*chat{c, other} {
		c.collect(t)
		c.tell(t, 11, down)
	}
	must(t, d.MoveChat(t.Context(), c.ChatLease, "-100123"))
	o.tell(t, change("n", node.Down, node.Up))
	for _, c := range []struct {
		*chat
		replyTo int64
	}{{c, 0}, {other, 11}} {
		c.collect(t)
		if got := c.waiting(t); len(got) != 1 || got[0].Known != node.Down || got[0].ReplyTo != c.replyTo {
			t.Errorf("%s: %+v", c.Chat, got)
		}
	}
}

func succession(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	c.collect(t)
	told := []string{
		o.tell(t, change("over", node.Up, node.Down)), o.tell(t, change("over", node.Down, node.Up)),
		o.tell(t, change("told", node.Up, node.Down)), o.tell(t, change("held", node.Up, node.Down)),
	}
	c.collect(t)
	c.tell(t, 11, told...)
	_, err := d.Freeze(t.Context(), c.ChatLease, nodestore.Draft{
		Text: "sum", Summary: "2026-03-01", Reminders: []nodestore.Reminder{{NodeID: "told", Incident: 5, Nth: 2}},
	})
	must(t, err)
	frozen, err := d.Frozen(t.Context(), c.ChatLease)
	must(t, err)
	must(t, d.Told(t.Context(), c.ChatLease, frozen.ID, 12))
	held := o.tell(t, change("held", node.Down, node.Up))
	c.asked(t, always(nodestore.Choice{Held: nodestore.Silenced}))
	bound := o.tell(t, change("frozen", node.Up, node.Down))
	c.asked(t, always(nodestore.Choice{Mark: nodestore.Flapping}))
	stands := c.freeze(t, 0, bound)
	waits := o.tell(t, change("waits", node.Up, node.Down))
	c.collect(t)
	must(t, d.MoveChat(t.Context(), c.ChatLease, "-100123"))
	later := o.tell(t, change("later", node.Up, node.Down))
	o.commitNodes(t, node.Node{ID: "told", State: node.Down, Told: node.Down, Incident: 5})

	next := join(t, d, "-100123")
	if next.MovedTo != "" {
		t.Errorf("it is where it is, not at %q", next.MovedTo)
	}
	next.collect(t)
	next.wantWaiting(t, waits, later)
	again, err := d.Frozen(t.Context(), next.ChatLease)
	must(t, err)
	if again == nil || again.ID != stands.ID || again.Chat != "-100123" {
		t.Errorf("frozen is %+v, want %+v", again, stands)
	}
	must(t, d.Told(t.Context(), next.ChatLease, stands.ID, 1))
	hs, err := d.Held(t.Context(), next.ChatLease, nodestore.Silenced, "", 0, 0, 9)
	must(t, err)
	if len(hs) != 1 || hs[0].ID != held || hs[0].Known != node.Down {
		t.Errorf("held: %+v", hs)
	}
	flapping, err := d.Held(t.Context(), next.ChatLease, nodestore.Flapping, "", o.stamp(), 0, 9)
	must(t, err)
	if len(flapping) != 1 || flapping[0].NodeID != "frozen" {
		t.Errorf("flapping: %+v", flapping)
	}
	done, err := d.Summed(t.Context(), next.ChatLease, "2026-03-01")
	must(t, err)
	var nth int64
	var heard bool
	must(t, d.EachFailing(t.Context(), next.ChatLease, 9, func(f nodestore.Failing) error {
		nth, heard = f.Nth, !f.Told.IsZero()
		return nil
	}))
	if !done || nth != 2 || !heard {
		t.Errorf("summed up: %v, reminded %d times, heard of it %v", done, nth, heard)
	}
	over, err := d.Tellings(t.Context(), "over", 9)
	must(t, err)
	for _, a := range over {
		if a.Chat != "chat" || a.At.IsZero() {
			t.Errorf("the record of what is over: %+v", a)
		}
	}
	wantErr(t, "whoever told the old one", d.RenewChat(t.Context(), c.ChatLease, long), nodestore.ErrFenced)
	leases, err := d.ChatLeases(t.Context())
	must(t, err)
	if len(leases) != 1 || leases[0].Chat != "-100123" {
		t.Errorf("not retired: %+v", leases)
	}
}

func burdens(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	ids := []string{o.tell(t, change("n", node.Up, node.Down)), o.tell(t, change("m", node.Down, node.Up)), o.tell(t, change("o", node.Up, node.Lost))}
	c.collect(t)
	c.tell(t, 1, ids[:2]...)
	n := c.freeze(t, 0, ids[2])
	told := time.Now()
	got, err := d.Burdens(t.Context(), c.ChatLease, long)
	must(t, err)
	if len(got) != 1 || got[0].Alerts != 2 || got[0].Failures != 1 || got[0].Ago < 0 || got[0].Ago > time.Minute {
		t.Errorf("%+v", got)
	}
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 2))
	got, err = d.Burdens(t.Context(), c.ChatLease, long)
	if must(t, err); len(got) != 2 || got[1].Alerts != 1 || got[1].Failures != 1 || got[1].Ago > got[0].Ago {
		t.Errorf("%+v", got)
	}
	eventually(t, "they are old", func() bool {
		got, err = d.Burdens(t.Context(), c.ChatLease, 10*time.Millisecond)
		must(t, err)
		return len(got) == 0
	})
	if time.Since(told) < 10*time.Millisecond {
		t.Error("forgotten too soon")
	}
}

func tellings(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	a, b := join(t, d, "a"), join(t, d, "b")
	first := o.tell(t, change("n", node.Up, node.Down))
	o.tell(t, change("m", node.Up, node.Down))
	for _, c := range []*chat{a, b} {
		c.asked(t, func(e nodestore.Candidate) nodestore.Choice { return nodestore.Choice{Skip: e.NodeID == "m"} })
	}
	a.tell(t, 7, first)
	n := b.freeze(t, 0, first)
	must(t, d.Failed(t.Context(), b.ChatLease, n.ID, "blocked"))
	second := o.tell(t, change("n", node.Down, node.Up))
	a.asked(t, always(nodestore.Choice{Held: nodestore.Silenced}))
	got, err := d.Tellings(t.Context(), "n", 10)
	must(t, err)
	for i := range got {
		if (got[i].At.IsZero()) != (got[i].Message == 0) {
			t.Errorf("%+v", got[i])
		}
		got[i].At = time.Time{}
	}
	diff(t, "of n", got, []nodestore.ToldAlert{
		{ID: second, Chat: "a", Held: nodestore.Silenced}, {ID: first, Chat: "a", Message: 7},
		{ID: first, Chat: "b", Waiting: true, LastError: "blocked"},
	})
	got, err = d.Tellings(t.Context(), "n", 1)
	if must(t, err); len(got) != 1 || got[0].ID != second {
		t.Errorf("the newest: %+v", got)
	}
}

func readAll(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	var want []string
	for i := range 3 {
		n := node.Node{ID: fmt.Sprint("n", i), State: node.Up}
		if i < 2 {
			n.State, n.Since = node.Lost, node.Stamp(10*i+5)
		}
		o.commitNodes(t, n)
		want = append(want, n.ID)
	}
	var got []string
	must(t, d.EachNode(t.Context(), func(n node.Node) error {
		got = append(got, n.ID)
		return nil
	}))
	diff(t, "nodes", got, want)
	for since, lost := range map[node.Stamp]int{5: 2, 6: 1, 15: 1, 16: 0} {
		n, all, err := d.LostSince(t.Context(), since)
		if must(t, err); n != lost || all != 3 {
			t.Errorf("lost since %d: %d of %d, want %d of 3", since, n, all, lost)
		}
	}
	ids, between := o.oldAndNew(t, change("n", node.Up, node.Down))
	var many node.Changes
	for i := range 2100 { // more than are read at a time
		many.Events = append(many.Events, o.event(i, change("n", node.Up, node.Down)))
		ids = append(ids, many.Events[i].ID.String())
	}
	o.commit(t, many)
	back := func(since time.Time) (out []string) {
		must(t, d.EachEvent(t.Context(), since, func(e nodestore.StoredEvent) error {
			out = append(out, e.ID.String())
			return nil
		}))
		slices.Reverse(out)
		return out
	}
	diff(t, "all events", back(time.Time{}), ids)
	diff(t, "newer events", back(between), ids[1:])
}
