package notifier

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func openSQLite(t *testing.T) nodestore.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// commanded is a notifier that takes commands, wired as from the environment; it runs to the end of the test.
func commanded(t *testing.T, fake *telegramtest.Server, store nodestore.Store, more map[string]string) {
	t.Helper()
	env := map[string]string{"TELEGRAM_BOT_TOKEN": telegramtest.Token, "TELEGRAM_API_URL": fake.URL(), "TELEGRAM_CHAT_ID": "-5:3",
		"TELEGRAM_BOT_COMMANDS": "true", "TZ": "Europe/Berlin", "PUBLIC_URL": "https://nodes.example.org"}
	for k, v := range more {
		env[k] = v
	}
	c, err := load(t, env)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{ID: "a", Store: store, BotStore: store, Timing: quick}
	closeSender, err := c.Apply(&o, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, closeSender)
}

// A failure is told with buttons; pressing one is answered, and shows who pressed it.
func TestAToldFailureCanBeAcknowledged(t *testing.T) {
	fake, store := newFake(t), openSQLite(t)
	commanded(t, fake, store, nil)
	ev := newEvaluator(t, store)
	ev.fail(t, "rig-7")
	m := arrived(t, fake, "rig-7")[0]
	if len(m.Buttons) != 1 || len(m.Buttons[0]) != 2 {
		t.Fatalf("buttons: %+v", m.Buttons)
	}
	pressed := fake.Press(m.ID, "bob", m.Buttons[0][0].Data)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := fake.WaitFor(ctx, func(all []telegramtest.Message) bool {
		return all[0].Buttons[0][0].Text == "✓ Acknowledged by @bob"
	}); err != nil {
		t.Fatal(err)
	}
	if text, ok := fake.Answered(pressed); !ok || !strings.Contains(text, "no more reminders") {
		t.Errorf("answered %q", text)
	}
	if acks, err := store.Acknowledgements(t.Context(), []string{"rig-7"}); err != nil || acks["rig-7"].By != "@bob" {
		t.Errorf("%+v, %v", acks, err)
	}
}

// fail commits a node that has gone down.
func (e *evaluator) fail(t *testing.T, id string) {
	t.Helper()
	from := e.clock.Position
	e.clock.Position.Seq++
	e.clock.Position.Stamp = stamp(time.Now())
	at := e.clock.Position.Stamp
	n := node.Node{ID: id, State: node.Down, Told: node.Down, Reason: "no_screen", Since: at, Incident: at}
	ev := node.Event{ID: node.EventID{Epoch: from.Epoch, Seq: e.clock.Position.Seq}, Kind: node.Changed, NodeID: id,
		From: node.Up, To: node.Down, Reason: "no_screen", At: at}
	if err := e.store.Commit(t.Context(), e.lease, from, node.Changes{Clock: e.clock, Nodes: []node.Node{n}, Events: []node.Event{ev}}); err != nil {
		t.Fatal(err)
	}
}

// A command goes through the whole notifier, beside a webhook, and is answered in its language and zone.
func TestTheNotifierTakesCommands(t *testing.T) {
	fake, store, hook := newFake(t), openSQLite(t), newHookServer(t)
	ev := newEvaluator(t, store)
	ev.commit(t, node.Event{Kind: node.Changed, NodeID: "rig-7", From: node.Up, To: node.Down, Reason: "no_screen", Meta: "dc=home"})
	commanded(t, fake, store, map[string]string{"LANGUAGE": "ru", "WEBHOOK_URL": hook.url})
	if taken := hook.wait(t, 1); len(taken) != 1 || taken[0].Alerts[0].Labels["dc"] != "home" {
		t.Errorf("webhook: %+v", taken)
	}
	arrived(t, fake, "rig-7") // before the silence holds it
	fake.Say("-5", 3, "bob", "/silence all 2h")
	fake.Say("-6", 0, "eve", "/silence all 3h")
	all := arrived(t, fake, "rig-7", "Сообщения обо всех узлах отключены до")
	for _, m := range all {
		if strings.Contains(m.Plain, "сообщается") && (m.Chat != "-5" || m.Thread != 3 || !strings.Contains(m.Plain, " CE")) {
			t.Errorf("%+v", m)
		}
	}
	silences, err := store.Silences(t.Context(), time.Now())
	if err != nil || len(silences) != 1 || silences[0].By != "@bob" {
		t.Errorf("%+v, %v", silences, err)
	}
}

// tellerOf is a worker with a lease on a store, that does what the test calls.
func tellerOf(t *testing.T, store nodestore.Store, s Sender, chat string) *teller {
	t.Helper()
	o := Options{ID: "a", Store: store, Sender: s, Timing: quick.withDefaults(), Location: time.UTC, Now: time.Now}
	l, err := store.AcquireChat(t.Context(), chat, "a", time.Minute, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return &teller{chat: newChat(chat, o, newPace(0, 1000), newMetrics()), lease: l, fresh: func() bool { return true }}
}

// Where a group went is noted once, and nobody asks Telegram for it again, whoever tells the chat then.
func TestWhereAGroupWentIsNoted(t *testing.T) {
	fake, store := newFake(t), openSQLite(t)
	fake.Always("-5", telegramtest.Moved(-1005))
	for n := range 3 {
		client := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token}) // another program each time
		w := tellerOf(t, store, router{telegram: buttoned{client, English}}, "-5:3")
		if _, err := w.deliver(t.Context(), nodestore.Notification{ID: 1, Chat: "-5:3", Text: "x"}); err != nil {
			t.Fatal(err)
		}
		w.moved(t.Context())
		client.Close()
		if w.lease.MovedTo != "-1005:3" {
			t.Errorf("round %d: moved to %q", n, w.lease.MovedTo)
		}
	}
	if fake.Calls("-5") != 1 || fake.Calls("-1005") != 3 || fake.Messages()[2].Thread != 3 {
		t.Errorf("%d calls to the old chat, %d to the new", fake.Calls("-5"), fake.Calls("-1005"))
	}
	if leases, err := store.ChatLeases(t.Context()); err != nil || len(leases) != 1 || leases[0].MovedTo != "-1005:3" {
		t.Errorf("%+v, %v", leases, err)
	}
}

// Buttons are under failures of one node, and only where commands are taken.
func TestButtonsAreUnderFailuresAlone(t *testing.T) {
	fake, store := newFake(t), openSQLite(t)
	client := telegram.New(telegram.Options{URL: fake.URL(), Token: telegramtest.Token})
	defer client.Close()
	failure := nodestore.Notification{ID: 12, Chat: "7", Text: "DOWN", NodeID: "rig-7", Incident: 5}
	for _, tt := range []struct {
		name    string
		n       nodestore.Notification
		s       Sender
		buttons int
	}{
		{"a failure", failure, buttoned{client, Russian}, 2},
		{"a failure beside a webhook", failure, router{telegram: buttoned{client, English}}, 2},
		{"without commands", failure, client, 0},
		{"without commands, beside a webhook", failure, router{telegram: client}, 0},
		{"something else", nodestore.Notification{ID: 13, Chat: "7", Text: "UP"}, buttoned{client, English}, 0},
	} {
		id, err := tellerOf(t, store, tt.s, "7").deliver(t.Context(), tt.n)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, row := range fake.Messages()[id-1].Buttons {
			got += len(row)
		}
		if got != tt.buttons {
			t.Errorf("%s: %d buttons", tt.name, got)
		}
	}
	if b := fake.Messages()[0].Buttons[0]; b[0].Text != "Займусь" || b[0].Data != "a:12" || b[1].Data != "s:12" {
		t.Errorf("%+v", b)
	}
}
