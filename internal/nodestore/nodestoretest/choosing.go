package nodestoretest

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// asked collects once and returns what the choice was asked.
func (c *chat) asked(t *testing.T, choose func(nodestore.Candidate) nodestore.Choice) (out []nodestore.Candidate) {
	t.Helper()
	_, err := c.store.Collect(t.Context(), c.ChatLease, 1000, chooser(func(cs []nodestore.Candidate) []nodestore.Choice {
		out = cs
		var choices []nodestore.Choice
		for _, c := range cs {
			choices = append(choices, choose(c))
		}
		return choices
	}))
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
	if _, err := d.Collect(t.Context(), c.ChatLease, 10, chooser(func([]nodestore.Candidate) []nodestore.Choice { return nil })); err == nil {
		t.Error("no choice at all was taken")
	}
	if got := c.asked(t, always(nodestore.Choice{})); len(got) != 2 {
		t.Errorf("asked about %d events after a failure, want 2", len(got))
	}
}

// A silence that was added before an event was committed is known when the event is decided about, though it was not
// when the collecting began.
func choiceOfSilences(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	now := time.Now().UTC().Round(0)
	var want []nodestore.Silence
	for _, until := range []time.Duration{time.Hour, -time.Hour, -long - time.Minute} {
		s, err := d.AddSilence(t.Context(), nodestore.Silence{Scope: nodestore.ScopeAll, From: now.Add(-2 * long), Until: now.Add(until)})
		must(t, err)
		want = append(want, s)
	}
	o.tell(t, change("n", node.Up, node.Down))
	var got []nodestore.Silence
	_, err := d.Collect(t.Context(), c.ChatLease, 10, nodestore.Chooser{
		Quiet: now.Add(-long - time.Second),
		Choose: func(silences []nodestore.Silence, cs []nodestore.Candidate) []nodestore.Choice {
			got = silences
			return make([]nodestore.Choice, len(cs))
		},
	})
	must(t, err)
	diff(t, "silences", got, want[:2])
}

// stamp is that of the last message.
func (o *owner) stamp() node.Stamp { return o.at.Stamp }
