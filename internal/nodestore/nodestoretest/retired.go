package nodestoretest

import (
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var retiredChecks = []check{
	{"a retired chat is in no status and keeps its alerts", retired},
	{"a lease that was renewed is not retired", retiredRenewed},
	{"the flow tells of heartbeats and of what is untold", flow},
}

// retire retires a chat that nobody renews any more.
func retire(t *testing.T, s nodestore.Store, name string) {
	t.Helper()
	must(t, s.RetireChat(t.Context(), seen(t, s, name)))
}

func retired(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	id := o.tell(t, change("n", node.Up, node.Down))
	c.collect(t)
	retire(t, d, "chat")
	later := o.tell(t, change("m", node.Up, node.Down))
	s, err := d.Status(t.Context(), 0)
	must(t, err)
	f, err := d.Flow(t.Context(), 0)
	must(t, err)
	all, err := d.ChatLeases(t.Context())
	if must(t, err); len(s.Chats) != 0 || len(all) != 0 || f.Untold != "" {
		t.Errorf("still there: %+v, %+v, %+v", s.Chats, all, f)
	}
	wantErr(t, "its last owner renews", d.RenewChat(t.Context(), c.ChatLease, long), nodestore.ErrFenced)
	c = join(t, d, "chat")
	c.collect(t)
	c.wantWaiting(t, id, later)
	if got := c.status(t); got.Waiting != 2 {
		t.Errorf("back again: %+v", got)
	}
}

func retiredRenewed(t *testing.T, d *database) {
	c := join(t, d, "chat")
	before := seen(t, d, "chat")
	must(t, d.RenewChat(t.Context(), c.ChatLease, long))
	wantErr(t, "retire", d.RetireChat(t.Context(), before), nodestore.ErrHeld)
	must(t, d.RetireChat(t.Context(), seen(t, d, "chat")))
	wantErr(t, "retire again", d.RetireChat(t.Context(), before), nodestore.ErrHeld)
}

func flow(t *testing.T, d *database) {
	f, err := d.Flow(t.Context(), 0)
	must(t, err)
	diff(t, "before anything", f, nodestore.Flow{})
	o := acquire(t, d, "a")
	o.clock.Accepted = 77
	o.commit(t, node.Changes{})
	quick, slow := join(t, d, "1"), join(t, d, "2")
	f, err = d.Flow(t.Context(), 0)
	must(t, err)
	diff(t, "a heartbeat", f, nodestore.Flow{Epoch: 1, Accepted: 77})

	first := o.tell(t, change("n", node.Up, node.Down))
	second := o.tell(t, change("m", node.Up, node.Down))
	untold := func(what, want string) {
		t.Helper()
		f, err := d.Flow(t.Context(), 0)
		must(t, err)
		if f.Untold != want || (f.UntoldAge > 0) != (want != "") || f.UntoldAge > time.Minute {
			t.Errorf("%s: %+v, want %q", what, f, want)
		}
	}
	untold("nobody was told", first)
	for _, c := range []*chat{quick, slow} {
		c.collect(t)
		c.tell(t, 1, first)
	}
	untold("told the first", second)
	quick.tell(t, 2, second)
	untold("one chat is not told the second", second)
	slow.tell(t, 3, second)
	untold("all told", "")
}

// Returns checks what a retired chat hears when it is told again. later makes the database's clock go on by so much,
// or all that is stored be older by so much.
func Returns(t *testing.T, open Opener, later func(time.Duration)) {
	const lookback = 15 * time.Minute
	d := newDatabase(t, open)
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	frozen := o.tell(t, change("frozen", node.Up, node.Down))
	waiting := o.tell(t, change("waiting", node.Up, node.Down))
	c.collect(t)
	c.freeze(t, 0, frozen)
	retire(t, d, "chat")
	behind := o.tell(t, change("behind the cursor", node.Up, node.Down))

	back := func() *chat {
		l, err := d.AcquireChat(t.Context(), "chat", "notifier", long, lookback)
		must(t, err)
		c := &chat{l, d}
		c.collect(t)
		return c
	}
	later(nodestore.Returning - time.Hour)
	c = back()
	if n := c.frozen(t); n == nil {
		t.Error("back after less than a day: the frozen notification is gone")
	}
	c.wantWaiting(t, waiting, behind)

	retire(t, d, "chat")
	o.tell(t, change("behind the cursor again", node.Up, node.Down))
	later(nodestore.Returning + time.Hour)
	recent := o.tell(t, change("recent", node.Up, node.Down))
	c = back()
	if n := c.frozen(t); n != nil {
		t.Errorf("back after more than a day: %+v is still frozen", n)
	}
	c.wantWaiting(t, recent)
	if got := c.status(t); got.Waiting != 1 || !got.LastTold.IsZero() || got.LastError != "" {
		t.Errorf("status %+v", got)
	}
	c.tell(t, 5, recent)
	c.wantWaiting(t)
}
