package notifier

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// evaluator commits events to a real store, as the evaluator does.
type evaluator struct {
	store nodestore.Store
	lease nodestore.Lease
	clock node.Clock
}

func newEvaluator(t *testing.T, store nodestore.Store) *evaluator {
	t.Helper()
	l, err := store.Acquire(t.Context(), 0, "evaluator", time.Minute, node.Settings{Threshold: time.Minute, MaxNodes: 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Load(t.Context(), l, func(*node.Node) {})
	if err != nil {
		t.Fatal(err)
	}
	return &evaluator{store: store, lease: l, clock: s.Clock}
}

func (e *evaluator) commit(t *testing.T, events ...node.Event) {
	t.Helper()
	from := e.clock.Position
	e.clock.Position.Seq++
	e.clock.Position.Stamp = stamp(time.Now())
	for i := range events {
		events[i].ID = node.EventID{Epoch: from.Epoch, Seq: e.clock.Position.Seq, Ordinal: i}
		events[i].At = e.clock.Position.Stamp
	}
	if err := e.store.Commit(t.Context(), e.lease, from, node.Changes{Clock: e.clock, Events: events}); err != nil {
		t.Fatal(err)
	}
}

// arrived waits until people have read each of these texts.
func arrived(t *testing.T, fake *telegramtest.Server, texts ...string) []telegramtest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	all, err := fake.WaitFor(ctx, telegramtest.Containing(texts...))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The way from a committed event to a person, with nothing faked but Telegram itself: a failure told late, after a
// restart, and the recovery as an answer to it.
func TestFromTheDatabaseToTelegram(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	fake, ev := newFake(t), newEvaluator(t, store)
	fake.Always("7", telegramtest.Broken(500))
	ev.commit(t, aNode(node.Event{Kind: node.Changed, From: node.Up, To: node.Down, Reason: "no_screen", Evidence: "<none>"}))
	stop := wired(t, fake, store, "7")
	if err := fake.WaitForCalls(t.Context(), "7", 2); err != nil {
		t.Fatal(err)
	}
	stop()
	var status nodestore.Status
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // a lease that could not be given back runs out
		if status, err = store.Status(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if len(status.Chats) != 1 || !status.Chats[0].Active || time.Since(began) > 10*time.Second {
			break
		}
	}
	if c := status.Chats; len(c) != 1 || c[0].Waiting != 1 || !strings.Contains(c[0].LastError, "500") || c[0].Active {
		t.Errorf("status while Telegram is away: %+v", c)
	}

	fake.Always("7", telegramtest.OK())
	stop = wired(t, fake, store, "7")
	failure := arrived(t, fake, "Gensyn node DOWN", "<none>")[0]
	ev.commit(t, aNode(node.Event{Kind: node.Changed, From: node.Down, To: node.Up,
		Since: stamp(time.Now().Add(-90 * time.Second)), Lasted: 90 * time.Second}))
	all := arrived(t, fake, "Gensyn node UP", "Incident lasted: 1 minute 30 seconds")
	stop()
	if len(all) != 2 || all[1].ReplyTo != failure.ID {
		t.Errorf("%d messages, the last answers %d, want %d", len(all), all[1].ReplyTo, failure.ID)
	}
	if status, err = store.Status(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if c := status.Chats; len(c) != 1 || c[0].Waiting != 0 || c[0].LastError != "" || c[0].LastTold.IsZero() {
		t.Errorf("status at the end: %+v", c)
	}
}
