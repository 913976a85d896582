package nodestoretest

import (
	"fmt"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var deliveryChecks = []check{
	{"events become alerts, but for quiet ones", collectEvents},
	{"collecting moves on in steps", collectSteps},
	{"collecting goes on in a new epoch", collectEpoch},
	{"a stalled event behind the position is collected", collectStalled},
	{"waiting alerts come whole and in order", waitingOrder},
	{"a frozen notification stays as it is until it is told", freezeTold},
	{"a notification takes waiting alerts only", freezeOnlyWaiting},
	{"many alerts fit into one notification", freezeMany},
	{"telling twice changes nothing", toldTwice},
	{"chats never touch one another", chatsApart},
	{"a recovery answers the message that told the failure", replyTo},
	{"what stands in a message need not be clean", unstorableText},
}

func collectEvents(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	quiet := change("n", node.Up, node.Lost)
	quiet.Quiet = true
	o.commit(t, node.Changes{Events: []node.Event{o.event(0, quiet)}})
	loud := o.tell(t, change("n", node.Up, node.Down))
	n, err := d.Collect(t.Context(), c.ChatLease, 10, tellAll)
	if must(t, err); n != 2 {
		t.Errorf("passed %d events, want 2", n)
	}
	n, err = d.Collect(t.Context(), c.ChatLease, 10, tellAll)
	if must(t, err); n != 0 {
		t.Errorf("passed %d events again", n)
	}
	c.wantWaiting(t, loud)
}

func collectSteps(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	var want []string
	for i := range 12 {
		events := []node.Event{o.event(0, change("n", node.Up, node.Down)), o.event(1, change("m", node.Up, node.Down))}
		events[0].Quiet = i%3 == 0
		for _, e := range events {
			if !e.Quiet {
				want = append(want, e.ID.String())
			}
		}
		o.commit(t, node.Changes{Events: events})
	}
	var steps []int
	for {
		n, err := d.Collect(t.Context(), c.ChatLease, 5, tellAll)
		if must(t, err); n == 0 {
			break
		}
		steps = append(steps, n)
	}
	diff(t, "steps", steps, []int{5, 5, 5, 5, 4})
	c.wantWaiting(t, want...)
}

func collectEpoch(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	want := []string{o.tell(t, node.Event{Kind: node.Deaf}), o.tell(t, node.Event{Kind: node.Hearing})}
	c.collect(t)
	from := o.at
	to := node.Position{Epoch: from.Epoch + 1}
	must(t, d.Commit(t.Context(), o.Lease, from, node.Changes{Clock: node.Clock{Position: to}}))
	o.at = to
	want = append(want, o.tell(t, node.Event{Kind: node.Blind})) // its sequence is lower
	c.collect(t)
	c.wantWaiting(t, want...)
}

func collectStalled(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	down := o.tell(t, change("n", node.Up, node.Down))
	c.collect(t)
	stalled := node.Event{ID: node.EventID{Epoch: o.at.Epoch, Seq: o.at.Seq, Ordinal: 1 << 20}, Kind: node.Stalled}
	_, err := d.Record(t.Context(), o.Lease, stalled)
	must(t, err)
	up := o.tell(t, change("n", node.Down, node.Up))
	c.collect(t)
	c.wantWaiting(t, down, stalled.ID.String(), up)
}

func waitingOrder(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	e := filled[node.Event](t, fillers["odd"])
	e.Quiet = false
	want := []string{}
	for i := range 12 { // 10 comes after 9
		e.ID = o.event(i, e).ID
		want = append(want, o.tell(t, e))
	}
	c.collect(t)
	alerts := c.waiting(t)
	if len(alerts) != len(want) {
		t.Fatalf("%d alerts wait, want %d", len(alerts), len(want))
	}
	stored, err := d.Events(t.Context(), "", 1)
	must(t, err)
	diff(t, "the last alert", alerts[11], nodestore.Alert{ID: want[11], StoredEvent: stored[0]})
	limited, err := d.Waiting(t.Context(), c.ChatLease, 5)
	must(t, err)
	diff(t, "the oldest", limited, alerts[:5])
	c.wantWaiting(t, want...)
}

func freezeTold(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	if n := c.frozen(t); n != nil {
		t.Errorf("frozen %+v before anything happened", n)
	}
	first := o.tell(t, change("n", node.Up, node.Down))
	second := o.tell(t, change("m", node.Up, node.Down))
	c.collect(t)
	n, err := d.Freeze(t.Context(), c.ChatLease, draft("<b>n</b> & Узел", 77, first))
	must(t, err)
	if want := (nodestore.Notification{ID: n.ID, Chat: "chat", Text: "<b>n</b> & Узел", ReplyTo: 77, Alerts: 1}); n != want || n.ID == 0 {
		t.Errorf("notification %+v, want %+v", n, want)
	}
	c.wantWaiting(t, second)
	for attempts := range 3 { // by the next notifier too
		c = join(t, d.again(t), "chat")
		n.Attempts = attempts
		diff(t, "frozen", c.frozen(t), &n)
		must(t, d.Failed(t.Context(), c.ChatLease, n.ID, "refused"))
	}
	if _, err := d.Freeze(t.Context(), c.ChatLease, draft("second", 0, second)); err == nil {
		t.Error("two notifications of one chat are frozen")
	}
	c.wantWaiting(t, second)
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 501))
	if n := c.frozen(t); n != nil {
		t.Errorf("frozen %+v after it was told", n)
	}
	c.wantWaiting(t, second)
	c.tell(t, 502, second)
	c.wantWaiting(t)
}

func freezeOnlyWaiting(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	told := o.tell(t, change("n", node.Up, node.Down))
	c.collect(t)
	c.tell(t, 1, told)
	waits := o.tell(t, change("n", node.Down, node.Up))
	c.collect(t)
	uncollected := o.tell(t, change("n", node.Up, node.Down))
	for name, alerts := range map[string][]string{
		"told already": {told, waits}, "not collected": {waits, uncollected}, "counted twice": {waits, waits}, "none that waits": {told},
	} {
		if _, err := d.Freeze(t.Context(), c.ChatLease, draft(name, 0, alerts...)); err == nil {
			t.Fatalf("alerts were frozen, one of them %s", name)
		}
		if n := c.frozen(t); n != nil {
			t.Fatalf("%s: frozen %+v by a call that failed", name, n)
		}
		c.wantWaiting(t, waits)
	}
}

func freezeMany(t *testing.T, d *database) {
	const size = 1500
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	var changes node.Changes
	var ids []string
	for i := range size {
		e := o.event(i, change(fmt.Sprint("node ", i), node.Up, node.Lost))
		changes.Events, ids = append(changes.Events, e), append(ids, e.ID.String())
	}
	o.commit(t, changes)
	c.collect(t)
	c.tell(t, 9, ids...)
	c.wantWaiting(t)
	if status := c.status(t); status.Waiting != 0 {
		t.Errorf("%d wait, want none", status.Waiting)
	}
}

func toldTwice(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat")
	id := o.tell(t, change("n", node.Up, node.Down))
	c.collect(t)
	n := c.freeze(t, 0, id)
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 5))
	before := c.status(t)
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 5)) // its answer was lost
	diff(t, "status", c.status(t), before)
	for what, err := range map[string]error{
		"told as another message": d.Told(t.Context(), c.ChatLease, n.ID, 6),
		"failed after all":        d.Failed(t.Context(), c.ChatLease, n.ID, "refused"),
		"an unknown one told":     d.Told(t.Context(), c.ChatLease, n.ID+99, 6),
		"an unknown one failed":   d.Failed(t.Context(), c.ChatLease, n.ID+99, "refused"),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	diff(t, "status", c.status(t), before)
}

func chatsApart(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	a, b := join(t, d, "a"), join(t, d, "b")
	id := o.tell(t, change("n", node.Up, node.Down))
	a.collect(t)
	b.wantWaiting(t) // it collects for itself
	b.collect(t)
	n := a.freeze(t, 0, id)
	if got := b.frozen(t); got != nil {
		t.Errorf("b has %+v of a", got)
	}
	b.wantWaiting(t, id)
	if err := d.Told(t.Context(), b.ChatLease, n.ID, 5); err == nil {
		t.Error("b told a's notification")
	}
	if err := d.Failed(t.Context(), b.ChatLease, n.ID, "x"); err == nil {
		t.Error("b failed a's notification")
	}
	must(t, d.Told(t.Context(), a.ChatLease, n.ID, 5))
	b.wantWaiting(t, id)
	b.tell(t, 6, id)
	up := o.tell(t, change("n", node.Down, node.Up))
	for c, want := range map[*chat]int64{a: 5, b: 6} {
		c.collect(t)
		if alerts := c.waiting(t); len(alerts) != 1 || alerts[0].ID != up || alerts[0].ReplyTo != want {
			t.Errorf("chat %s: %+v, want a reply to %d", c.Chat, alerts, want)
		}
	}
}

// replyTo plays histories of one node, n. A step is told with the message's number, waits, is quiet, or is frozen and
// not told; the last one is looked at.
func replyTo(t *testing.T, d *database) {
	type step struct {
		e       node.Event
		message int64
	}
	joined := func(to node.State) node.Event { return node.Event{Kind: node.Joined, NodeID: "n", To: to} }
	deleted := node.Event{Kind: node.Deleted, NodeID: "n", From: node.Down}
	down, lost := change("n", node.Up, node.Down), change("n", node.Down, node.Lost)
	degraded, up := change("n", node.Up, node.Degraded), change("n", node.Down, node.Up)
	doubled := node.Event{Kind: node.Doubled, NodeID: "n", From: node.Down, To: node.Down}
	elsewhere := change("m", node.Up, node.Down)
	const waits, quiet, frozen = 0, -1, -2
	for name, tc := range map[string]struct {
		steps []step
		want  int64
	}{
		"the failure":                      {[]step{{down, 11}, {up, waits}}, 11},
		"the latest failure told":          {[]step{{degraded, 11}, {down, 12}, {up, waits}}, 12},
		"a later failure was quiet":        {[]step{{down, 11}, {lost, quiet}, {up, waits}}, 11},
		"a later failure waits":            {[]step{{down, 11}, {lost, waits}, {up, waits}}, 11},
		"joined in failure":                {[]step{{joined(node.Down), 11}, {up, waits}}, 11},
		"nothing was told":                 {[]step{{down, waits}, {up, waits}}, 0},
		"another node's failure":           {[]step{{elsewhere, 11}, {up, waits}}, 0},
		"that incident ended":              {[]step{{down, 11}, {up, 12}, {down, waits}, {up, waits}}, 0},
		"that incident ended quietly":      {[]step{{down, 11}, {up, quiet}, {lost, quiet}, {up, waits}}, 0},
		"that incident ended by deletion":  {[]step{{down, 11}, {deleted, quiet}, {joined(node.Up), waits}, {up, waits}}, 0},
		"that incident ended, and another": {[]step{{down, 11}, {deleted, quiet}, {joined(node.Down), waits}, {up, waits}}, 0},
		"a later failure is frozen":        {[]step{{degraded, 11}, {down, frozen}, {up, waits}}, 11},
		"the second incident":              {[]step{{down, 11}, {up, 12}, {lost, 13}, {up, waits}}, 13},
		"joining ends nothing":             {[]step{{down, 11}, {deleted, quiet}, {joined(node.Up), waits}}, 0},
		"joining never ends anything":      {[]step{{down, 11}, {joined(node.Up), waits}}, 0},
		"another failure follows it":       {[]step{{degraded, 11}, {down, waits}}, 11},
		"better, but not up, follows it":   {[]step{{down, 11}, {change("n", node.Down, node.Degraded), waits}}, 11},
		"two senders end nothing":          {[]step{{down, 11}, {doubled, 12}, {up, waits}}, 11},
		"a monitor event ends nothing":     {[]step{{down, 11}, {node.Event{Kind: node.Hearing}, waits}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := acquire(t, d, "owner"), join(t, d, name)
			c.skip(t) // all histories are in one database, and each has a chat of its own
			for _, s := range tc.steps {
				e := s.e
				if e.NodeID != "" {
					e.NodeID += " " + name
				}
				e.Quiet = s.message == quiet
				id := o.tell(t, e)
				c.collect(t)
				switch {
				case s.message > 0:
					c.tell(t, s.message, id)
				case s.message == frozen:
					c.freeze(t, 0, id)
				}
			}
			alerts := c.waiting(t)
			if got := alerts[len(alerts)-1].ReplyTo; got != tc.want {
				t.Errorf("reply to %d, want %d", got, tc.want)
			}
		})
	}
}

// skip leaves what happened before untold.
func (c *chat) skip(t *testing.T) {
	t.Helper()
	c.collect(t)
	var ids []string
	for _, a := range c.waiting(t) {
		ids = append(ids, a.ID)
	}
	if len(ids) > 0 {
		c.tell(t, 1, ids...)
	}
}

func unstorableText(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "chat\x00\xff")
	id := o.tell(t, change("n", node.Up, node.Down))
	c.collect(t)
	n, err := d.Freeze(t.Context(), c.ChatLease, draft("text\x00\xff", 0, id))
	must(t, err)
	stored := c.frozen(t)
	diff(t, "frozen as it is sent", stored, &n)
	must(t, d.Failed(t.Context(), c.ChatLease, n.ID, "error\x00\xff"))
}
