package nodestoretest

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var quietingChecks = []check{
	{"silences are kept until they are over", silences},
	{"the first acknowledgement of an incident stays", acknowledgements},
	{"a bot has one poller at a time", pollers},
	{"the next update of a bot outlives its poller", nextUpdate},
}

func silences(t *testing.T, d *database) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	add := func(s nodestore.Silence) nodestore.Silence {
		stored, err := d.AddSilence(t.Context(), s)
		must(t, err)
		if s.ID = stored.ID; stored != s || s.ID == 0 {
			t.Errorf("stored %+v, want %+v", stored, s)
		}
		return stored
	}
	a := add(nodestore.Silence{Scope: nodestore.ScopeNode, Value: "n", By: "ann", Note: "disk", From: now, Until: now.Add(time.Hour)})
	b := add(nodestore.Silence{Scope: nodestore.ScopeAll, By: "ben", From: now.Add(2 * time.Hour), Until: now.Add(3 * time.Hour)})
	at := func(at time.Time) []nodestore.Silence {
		all, err := d.Silences(t.Context(), at)
		must(t, err)
		return all
	}
	diff(t, "active and to come", at(now), []nodestore.Silence{a, b})
	diff(t, "just before the first is over", at(a.Until.Add(-1)), []nodestore.Silence{a, b})
	diff(t, "when the first is over", at(a.Until), []nodestore.Silence{b})
	diff(t, "when all are over", at(b.Until), []nodestore.Silence(nil))
	must(t, d.EndSilence(t.Context(), b.ID, "ann"))
	wantErr(t, "end it again", d.EndSilence(t.Context(), b.ID, "ann"), nodestore.ErrNotFound)
	wantErr(t, "end an unknown one", d.EndSilence(t.Context(), b.ID+9, "ann"), nodestore.ErrNotFound)
	far := time.Now().Add(24 * time.Hour).UTC().Round(0)
	c := add(nodestore.Silence{Scope: nodestore.ScopeLabel, Value: "dc=home", From: now, Until: far})
	must(t, d.EndSilence(t.Context(), c.ID, "ann"))
	if all := at(time.Now().Add(time.Minute)); len(all) != 0 {
		t.Errorf("ended, and still there: %+v", all)
	}
	if all := at(now); len(all) != 3 || all[2].Ended.IsZero() || all[2].Ended.After(far) {
		t.Errorf("seen from before its end: %+v", all)
	}
}

func acknowledgements(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	o.commitNodes(t, node.Node{ID: "n", State: node.Down, Incident: 5}, node.Node{ID: "m", State: node.Down, Incident: 5})
	before := time.Now().Add(-time.Minute)
	first, err := d.Acknowledge(t.Context(), "n", 5, "ann")
	must(t, err)
	if first.NodeID != "n" || first.Incident != 5 || first.By != "ann" || first.At.Before(before) || first.At.After(time.Now().Add(time.Minute)) {
		t.Errorf("%+v", first)
	}
	second, err := d.Acknowledge(t.Context(), "n", 5, "ben")
	must(t, err)
	diff(t, "the second", second, first)
	if _, err := d.Acknowledge(t.Context(), "m", 4, "ben"); err != nil { // of an incident that is over
		t.Error(err)
	}
	got, err := d.Acknowledgements(t.Context(), []string{"n", "m", "unknown"})
	must(t, err)
	diff(t, "of present incidents", got, map[string]nodestore.Acknowledgement{"n": first})
	got, err = d.Acknowledgements(t.Context(), nil)
	if must(t, err); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

func pollers(t *testing.T, d *database) {
	first, err := d.AcquirePoller(t.Context(), "bot", "a", long)
	must(t, err)
	if first.Bot != "bot" || first.Owner != "a" || first.Term != 1 || first.Next != 0 {
		t.Errorf("lease %+v", first)
	}
	seen, err := d.AcquirePoller(t.Context(), "bot", "b", long)
	wantErr(t, "another acquires", err, nodestore.ErrHeld)
	if seen.Bot != "bot" || seen.Owner != "a" || seen.Term != 1 {
		t.Errorf("seen %+v", seen)
	}
	must(t, d.RenewPoller(t.Context(), first, 3))
	_, err = d.TakeOverPoller(t.Context(), seen, "b", long)
	wantErr(t, "taken over though it was renewed", err, nodestore.ErrHeld)
	seen, err = d.AcquirePoller(t.Context(), "bot", "b", long)
	wantErr(t, "another acquires", err, nodestore.ErrHeld)
	taken, err := d.TakeOverPoller(t.Context(), seen, "b", long)
	must(t, err)
	if taken.Owner != "b" || taken.Term != 2 || taken.Next != 3 {
		t.Errorf("taken over: %+v", taken)
	}
	_, err = d.TakeOverPoller(t.Context(), seen, "c", long)
	wantErr(t, "taken over twice", err, nodestore.ErrHeld)
	wantErr(t, "the first renews", d.RenewPoller(t.Context(), first, 99), nodestore.ErrFenced)
	wantErr(t, "the first releases", d.ReleasePoller(t.Context(), first), nodestore.ErrFenced)
	again, err := d.AcquirePoller(t.Context(), "bot", "b", long)
	if must(t, err); again.Term != 3 || again.Next != 3 {
		t.Errorf("its owner again: %+v", again)
	}
	if other, err := d.AcquirePoller(t.Context(), "other bot", "c", long); err != nil || other.Term != 1 {
		t.Errorf("another bot: %+v, %v", other, err)
	}
}

func nextUpdate(t *testing.T, d *database) {
	l, err := d.AcquirePoller(t.Context(), "bot", "a", long)
	must(t, err)
	must(t, d.RenewPoller(t.Context(), l, 41))
	must(t, d.RenewPoller(t.Context(), l, 42))
	must(t, d.ReleasePoller(t.Context(), l))
	next, err := d.again(t).AcquirePoller(t.Context(), "bot", "b", long)
	if must(t, err); next.Next != 42 || next.Term != 2 {
		t.Errorf("%+v", next)
	}
}
