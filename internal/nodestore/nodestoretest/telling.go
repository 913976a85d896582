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
	{"held alerts come by node, and are freed", heldAndFreed},
	{"flapping nodes come when they are due", flaps},
	{"a digest counts entries", digest},
	{"freezing takes what waits up to an event", freezeUpTo},
	{"a reminder and a summary are told once", onceOnly},
	{"what is thawed waits again", thaw},
	{"nodes that fail come with what the chat heard of them", eachFailing},
	{"a chat that moved stays moved", moved},
	{"what was told lately burdens a chat", burdens},
	{"what became of alerts is told", tellings},
	{"all nodes and recent events are read", readAll},
}

// commitNodes stores nodes as they are.
func (o *owner) commitNodes(t *testing.T, nodes ...node.Node) {
	t.Helper()
	o.commit(t, node.Changes{Nodes: nodes})
}

// asked collects once and returns what the choice was asked.
func (c *chat) asked(t *testing.T, choose func(nodestore.Candidate) nodestore.Choice) (out []nodestore.Candidate) {
	t.Helper()
	_, err := c.store.Collect(t.Context(), c.ChatLease, 1000, func(cs []nodestore.Candidate) []nodestore.Choice {
		out = cs
		var choices []nodestore.Choice
		for _, c := range cs {
			choices = append(choices, choose(c))
		}
		return choices
	})
	must(t, err)
	return out
}

func always(o nodestore.Choice) func(nodestore.Candidate) nodestore.Choice {
	return func(nodestore.Candidate) nodestore.Choice { return o }
}

func candidates(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c, other := join(t, d, "chat"), join(t, d, "other")
	var at []node.Stamp
	for i := range 6 {
		e := change("n", node.Up, node.Down)
		if i%2 == 1 {
			e.From, e.To = e.To, e.From
		}
		e.Meta = "dc=home"
		quiet := e
		quiet.Quiet = true // neither asked about nor counted
		at = append(at, o.next().Stamp)
		o.commit(t, node.Changes{Events: []node.Event{o.event(0, e), o.event(1, quiet), o.event(2, node.Event{Kind: node.Doubled, NodeID: "n"})}})
	}
	var got []nodestore.Candidate
	for _, e := range c.asked(t, always(nodestore.Choice{})) {
		if e.Quiet {
			t.Errorf("asked about a quiet event: %+v", e)
		}
		if e.Kind == node.Changed {
			got = append(got, e)
		}
	}
	if len(got) != 6 {
		t.Fatalf("asked about %d changes, want 6", len(got))
	}
	for i, e := range got {
		want := node.Stamp(0)
		if i >= 4 {
			want = at[i-4]
		}
		if e.Fourth != want || e.Meta != "dc=home" || e.FlapSince != 0 || e.Owed {
			t.Errorf("change %d: %+v, want its fourth predecessor at %d", i, e, want)
		}
	}
	// Owed is whoever has a delivery of the failure that is over, be it told or not.
	other.asked(t, always(nodestore.Choice{Skip: true}))
	o.tell(t, change("n", node.Up, node.Down))
	c.asked(t, always(nodestore.Choice{Held: nodestore.Silenced}))
	other.asked(t, always(nodestore.Choice{Skip: true}))
	o.tell(t, change("n", node.Down, node.Up))
	if got := c.asked(t, always(nodestore.Choice{})); len(got) != 1 || !got[0].Owed {
		t.Errorf("the chat that has the failure: %+v", got)
	}
	if got := other.asked(t, always(nodestore.Choice{})); len(got) != 1 || got[0].Owed {
		t.Errorf("the chat that skipped the failure: %+v", got)
	}
	o.tell(t, change("n", node.Up, node.Up))
	if got := c.asked(t, always(nodestore.Choice{})); len(got) != 1 || got[0].Owed {
		t.Errorf("the failure was over before: %+v", got)
	}
}

func choices(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	want := map[string]nodestore.Choice{
		"plain": {}, "skipped": {Skip: true}, "silenced": {Held: nodestore.Silenced}, "flaps": {Mark: nodestore.Flapping},
		"flapping": {Held: nodestore.Flapping},
	}
	ids := make(map[string]string)
	for _, name := range []string{"plain", "skipped", "silenced", "flaps", "flapping"} {
		ids[name] = o.tell(t, change(name, node.Up, node.Down))
	}
	c.asked(t, func(e nodestore.Candidate) nodestore.Choice { return want[e.NodeID] })
	c.wantWaiting(t, ids["plain"], ids["flaps"])
	if alerts := c.waiting(t); alerts[0].Mark != "" || alerts[1].Mark != nodestore.Flapping {
		t.Errorf("marks of %+v", alerts)
	}
	if s := c.status(t); s.Waiting != 2 {
		t.Errorf("%d wait, want 2: what is held does not", s.Waiting)
	}
	c.tell(t, 5, ids["plain"], ids["flaps"])
	f, err := d.Flow(t.Context(), 0)
	if must(t, err); f.Untold != "" {
		t.Errorf("%s counts as untold though it is held", f.Untold)
	}
	for _, name := range []string{"silenced", "flapping"} {
		o.tell(t, change(name, node.Down, node.Up))
	}
	// A choice that fails leaves all as it was.
	if _, err := d.Collect(t.Context(), c.ChatLease, 10, func([]nodestore.Candidate) []nodestore.Choice { return nil }); err == nil {
		t.Error("no choice at all was taken")
	}
	if got := c.asked(t, always(nodestore.Choice{})); len(got) != 2 {
		t.Errorf("asked about %d events after a failure, want 2", len(got))
	}
}

// flapStamps are what the suite's clock of messages says.
func (o *owner) stamp() node.Stamp { return o.at.Stamp }

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

func burdens(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	ids := []string{o.tell(t, change("n", node.Up, node.Down)), o.tell(t, change("m", node.Up, node.Down)), o.tell(t, change("o", node.Up, node.Down))}
	c.collect(t)
	c.tell(t, 1, ids[:2]...)
	n := c.freeze(t, 0, ids[2])
	told := time.Now()
	got, err := d.Burdens(t.Context(), c.ChatLease, long)
	must(t, err)
	if len(got) != 1 || got[0].Alerts != 2 || got[0].Ago < 0 || got[0].Ago > time.Minute {
		t.Errorf("%+v", got)
	}
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 2))
	got, err = d.Burdens(t.Context(), c.ChatLease, long)
	if must(t, err); len(got) != 2 || got[1].Alerts != 1 || got[1].Ago > got[0].Ago {
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
