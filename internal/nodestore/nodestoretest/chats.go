package nodestoretest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var chatChecks = []check{
	{"a chat's lease keeps others out", chatHeld},
	{"a chat's lease that stays as it was seen is taken over", chatTakenOver},
	{"a chat's lease that was renewed is not taken over", chatRenewed},
	{"releasing a chat lets the next one in", chatReleased},
	{"one of many gets a free chat", chatRace},
	{"an old term of a chat is fenced everywhere", chatFenced},
	{"a new chat looks back only so far", lookback},
	{"the status tells how chats stand", chatStatus},
}

// chat holds the lease of one.
type chat struct {
	nodestore.ChatLease
	store nodestore.Store
}

// join takes a chat's lease.
func join(t *testing.T, s nodestore.Store, name string) *chat {
	t.Helper()
	l, err := s.AcquireChat(t.Context(), name, "notifier", long, long)
	must(t, err)
	return &chat{l, s}
}

// collect passes all events.
func (c *chat) collect(t *testing.T) {
	t.Helper()
	for {
		n, err := c.store.Collect(t.Context(), c.ChatLease, 100, tellAll)
		if must(t, err); n == 0 {
			return
		}
	}
}

func (c *chat) waiting(t *testing.T) []nodestore.Alert {
	t.Helper()
	alerts, err := c.store.Waiting(t.Context(), c.ChatLease, 1000)
	must(t, err)
	return alerts
}

func (c *chat) wantWaiting(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, a := range c.waiting(t) {
		if a.ID != a.Event.ID.String() {
			t.Errorf("alert %q of event %v", a.ID, a.Event.ID)
		}
		got = append(got, a.ID)
	}
	diff(t, "waiting", got, want)
}

func (c *chat) frozen(t *testing.T) *nodestore.Notification {
	t.Helper()
	n, err := c.store.Frozen(t.Context(), c.ChatLease)
	must(t, err)
	return n
}

// draft tells these alerts, which must be all that wait up to the last of them.
func draft(text string, replyTo int64, alerts ...string) nodestore.Draft {
	d := nodestore.Draft{Text: text, ReplyTo: replyTo, Alerts: len(alerts)}
	if len(alerts) > 0 {
		d.Last = eventID(alerts[len(alerts)-1])
	}
	return d
}

// eventID reads an id as String writes it.
func eventID(s string) (id node.EventID) {
	if _, err := fmt.Sscanf(s, "%d:%d:%d:%d", &id.Epoch, &id.Partition, &id.Seq, &id.Ordinal); err != nil {
		panic(err)
	}
	return id
}

// tellAll is a choice for each event: all are told.
func tellAll(cs []nodestore.Candidate) []nodestore.Choice { return make([]nodestore.Choice, len(cs)) }

func (c *chat) freeze(t *testing.T, replyTo int64, alerts ...string) nodestore.Notification {
	t.Helper()
	n, err := c.store.Freeze(t.Context(), c.ChatLease, draft(fmt.Sprint("tells ", alerts), replyTo, alerts...))
	must(t, err)
	return n
}

// tell tells alerts in one message.
func (c *chat) tell(t *testing.T, message int64, alerts ...string) {
	t.Helper()
	n := c.freeze(t, 0, alerts...)
	must(t, c.store.Told(t.Context(), c.ChatLease, n.ID, message))
}

func (c *chat) status(t *testing.T) nodestore.ChatStatus {
	t.Helper()
	s, err := c.store.Status(t.Context(), 0)
	must(t, err)
	for _, status := range s.Chats {
		if status.Chat == c.Chat {
			return status
		}
	}
	t.Fatalf("no chat %q in %+v", c.Chat, s.Chats)
	return nodestore.ChatStatus{}
}

func chatHeld(t *testing.T, d *database) {
	first := join(t, d, "chat")
	if first.Chat != "chat" || first.Owner != "notifier" || first.Term != 1 {
		t.Errorf("lease %+v, want term 1 of the notifier", first.ChatLease)
	}
	_, err := d.again(t).AcquireChat(t.Context(), "chat", "another", long, long)
	wantErr(t, "another acquires", err, nodestore.ErrHeld)
	if second := join(t, d, "chat"); second.Term != 2 {
		t.Errorf("taken again by its owner: term %d, want 2", second.Term)
	}
	if other, err := d.AcquireChat(t.Context(), "other chat", "another", long, long); err != nil || other.Term != 1 {
		t.Errorf("another chat: %+v, %v", other, err)
	}
}

// seen is a chat's lease as another notifier finds it held.
func seen(t *testing.T, s nodestore.Store, name string) nodestore.ChatLease {
	t.Helper()
	l, err := s.AcquireChat(t.Context(), name, "stand-by", long, long)
	wantErr(t, "a stand-by acquires", err, nodestore.ErrHeld)
	return l
}

func chatTakenOver(t *testing.T, d *database) {
	const ttl = time.Millisecond // the database's clock passes it at once, which must not matter
	o := acquire(t, d, "a")
	first, err := d.AcquireChat(t.Context(), "chat", "a", ttl, long)
	must(t, err)
	o.commit(t, node.Changes{})
	pass(t, d, 10*ttl)
	l := seen(t, d, "chat")
	if l.Chat != "chat" || l.Owner != "a" || l.Term != first.Term {
		t.Errorf("seen %+v, held %+v", l, first)
	}
	all, err := d.ChatLeases(t.Context())
	must(t, err)
	diff(t, "all leases", all, []nodestore.ChatLease{l})
	diff(t, "seen again", seen(t, d, "chat"), l)
	second, err := d.TakeOverChat(t.Context(), l, "b", ttl)
	must(t, err)
	diff(t, "taken over", second, nodestore.ChatLease{Chat: "chat", Owner: "b", Term: first.Term + 1})
	wantErr(t, "the first renews", d.RenewChat(t.Context(), first, ttl), nodestore.ErrFenced)
	must(t, d.RenewChat(t.Context(), second, ttl))
	_, err = d.TakeOverChat(t.Context(), l, "c", ttl)
	wantErr(t, "another takes over what it saw before", err, nodestore.ErrHeld)
}

func chatRenewed(t *testing.T, d *database) {
	l := join(t, d, "chat")
	before := seen(t, d, "chat")
	must(t, d.RenewChat(t.Context(), l.ChatLease, long))
	_, err := d.TakeOverChat(t.Context(), before, "stand-by", long)
	wantErr(t, "a stand-by takes over", err, nodestore.ErrHeld)
	if after := seen(t, d, "chat"); after.Renewed == before.Renewed {
		t.Error("a renewal does not show")
	}
	must(t, d.RenewChat(t.Context(), l.ChatLease, long))
}

func chatReleased(t *testing.T, d *database) {
	c := join(t, d, "chat")
	must(t, d.ReleaseChat(t.Context(), c.ChatLease))
	l, err := d.AcquireChat(t.Context(), "chat", "another", long, long)
	if must(t, err); l.Term != c.Term+1 {
		t.Errorf("term %d after %d", l.Term, c.Term)
	}
}

func chatRace(t *testing.T, d *database) {
	stores := []nodestore.Store{d, d.again(t)}
	results := make([]error, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			_, results[i] = stores[i%2].AcquireChat(t.Context(), "chat", fmt.Sprint("notifier ", i), long, long)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
			continue
		}
		wantErr(t, "a loser", err, nodestore.ErrHeld)
	}
	if won != 1 {
		t.Errorf("%d of %d got the chat", won, len(results))
	}
}

func chatFenced(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	id := o.tell(t, change("n", node.Up, node.Down))
	later := o.tell(t, change("m", node.Up, node.Down))
	old := join(t, d, "chat")
	_, err := d.Collect(t.Context(), old.ChatLease, 1, tellAll)
	must(t, err)
	n := old.freeze(t, 0, id)
	current := join(t, d, "chat")
	for _, l := range []nodestore.ChatLease{old.ChatLease, {Chat: "never seen", Term: 1}, {Chat: "chat", Term: current.Term + 1}} {
		_, collectErr := d.Collect(t.Context(), l, 10, tellAll)
		_, frozenErr := d.Frozen(t.Context(), l)
		_, waitingErr := d.Waiting(t.Context(), l, 10)
		_, freezeErr := d.Freeze(t.Context(), l, nodestore.Draft{Text: "x"})
		_, heldErr := d.Held(t.Context(), l, nodestore.Silenced, "", 0, 0, 10)
		_, digestErr := d.Digest(t.Context(), l, 10, 10)
		_, burdensErr := d.Burdens(t.Context(), l, long)
		_, summedErr := d.Summed(t.Context(), l, "2026-03-01")
		failingErr := d.EachFailing(t.Context(), l, 1, func(nodestore.Failing) error { return nil })
		for what, err := range map[string]error{
			"renew": d.RenewChat(t.Context(), l, long), "release": d.ReleaseChat(t.Context(), l),
			"held": heldErr, "free": d.Free(t.Context(), l, nil), "digest": digestErr, "burdens": burdensErr,
			"summed": summedErr, "thaw": d.Thaw(t.Context(), l, n.ID), "each failing": failingErr, "move": d.MoveChat(t.Context(), l, "elsewhere"),
			"collect": collectErr, "frozen": frozenErr, "waiting": waitingErr, "freeze": freezeErr,
			"told": d.Told(t.Context(), l, n.ID, 5), "failed": d.Failed(t.Context(), l, n.ID, "why"),
		} {
			wantErr(t, fmt.Sprintf("%s with %+v", what, l), err, nodestore.ErrFenced)
		}
	}
	// Nothing of it took effect, and the next notifier finds all.
	diff(t, "frozen", current.frozen(t), &n)
	current.collect(t)
	current.wantWaiting(t, later)
}

func lookback(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	ids, between := o.oldAndNew(t, change("new", node.Up, node.Down))
	hears := func(name string, lookback time.Duration) []string {
		l, err := d.AcquireChat(t.Context(), name, "notifier", long, lookback)
		must(t, err)
		c := &chat{l, d}
		c.collect(t)
		var out []string
		for _, a := range c.waiting(t) {
			out = append(out, a.ID)
		}
		return out
	}
	diff(t, "back to the middle", hears("some", time.Since(between)), ids[1:])
	diff(t, "far back", hears("all", long), ids)
	diff(t, "not back", hears("none", 0), []string(nil))
	later := o.tell(t, change("later", node.Up, node.Down))
	diff(t, "known already: the cursor counts", hears("none", long), []string{later})
}

func chatStatus(t *testing.T, d *database) {
	o := acquire(t, d, "a")
	c := join(t, d, "b chat")
	join(t, d, "a chat")
	s, err := d.Status(t.Context(), 0)
	must(t, err)
	diff(t, "chats", s.Chats, []nodestore.ChatStatus{{Chat: "a chat", Active: true}, {Chat: "b chat", Active: true}})

	quiet := change("n", node.Down, node.Lost)
	quiet.Quiet = true
	o.tell(t, quiet)
	first := o.tell(t, change("n", node.Up, node.Down))
	oldest := found(t, d, first)
	second := o.tell(t, change("m", node.Up, node.Down))
	want := nodestore.ChatStatus{Chat: "b chat", Active: true, Waiting: 2, Oldest: oldest}
	diff(t, "not collected yet", c.status(t), want)
	c.collect(t)
	diff(t, "collected", c.status(t), want)
	n := c.freeze(t, 0, first)
	diff(t, "frozen", c.status(t), want)
	must(t, d.Failed(t.Context(), c.ChatLease, n.ID, "chat not found"))
	want.LastError = "chat not found"
	diff(t, "failed", c.status(t), want)

	before := time.Now().Truncate(time.Microsecond)
	must(t, d.Told(t.Context(), c.ChatLease, n.ID, 7))
	status := c.status(t)
	if status.LastTold.Before(before) || status.LastTold.After(time.Now()) {
		t.Errorf("last told %v, want about now", status.LastTold)
	}
	want = nodestore.ChatStatus{Chat: "b chat", Active: true, Waiting: 1, Oldest: found(t, d, second), LastTold: status.LastTold}
	diff(t, "told", status, want)
	c.tell(t, 8, second)
	must(t, d.ReleaseChat(t.Context(), c.ChatLease))
	status = c.status(t)
	want = nodestore.ChatStatus{Chat: "b chat", LastTold: status.LastTold}
	diff(t, "all told and released", status, want)
}
