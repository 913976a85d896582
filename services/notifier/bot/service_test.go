package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore/sqlite"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is for tests on a real network, in real time.
var quick = Timing{
	Lease: 400 * time.Millisecond, Wait: 2 * time.Second, RetryFirst: 10 * time.Millisecond, RetryMost: 50 * time.Millisecond,
	Conflict: 30 * time.Millisecond, Grace: 200 * time.Millisecond,
}

const group = "-1005"

// world is a store with two nodes, of which one is lost and told, and a Telegram.
type world struct {
	fake  *telegramtest.Server
	store nodestore.Store
	told  nodestore.Notification // of the lost node
	log   *journal
}

// journal is a log that can be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{fake: telegramtest.New(), store: store, log: &journal{}}
	t.Cleanup(w.fake.Close)
	l, err := store.Acquire(t.Context(), 0, "evaluator", time.Minute, node.Settings{Threshold: time.Minute, MaxNodes: 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Load(t.Context(), l, func(*node.Node) {})
	if err != nil {
		t.Fatal(err)
	}
	from, now := s.Clock.Position, node.Stamp(time.Now().UnixNano())
	s.Clock.Position.Seq, s.Clock.Position.Stamp = from.Seq+1, now
	gone := node.Node{ID: "rig-8", State: node.Lost, Told: node.Lost, Reason: "silent", Meta: "dc=home", Since: now, Incident: now}
	if err := store.Commit(t.Context(), l, from, node.Changes{
		Clock: s.Clock, Nodes: []node.Node{gone, {ID: "rig-9", State: node.Up, Meta: "dc=home", Since: now}},
		Events: []node.Event{{ID: node.EventID{Epoch: from.Epoch, Seq: from.Seq + 1}, Kind: node.Changed, NodeID: "rig-8", From: node.Up, To: node.Lost, At: now}},
	}); err != nil {
		t.Fatal(err)
	}
	w.tell(t, gone)
	return w
}

// tell sends the failure as the notifier does, with buttons.
func (w *world) tell(t *testing.T, n node.Node) {
	t.Helper()
	l, err := w.store.AcquireChat(t.Context(), group, "notifier", time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Collect(t.Context(), l, 10, nodestore.Chooser{Choose: func(_ []nodestore.Silence, es []nodestore.Candidate) []nodestore.Choice {
		return make([]nodestore.Choice, len(es))
	}}); err != nil {
		t.Fatal(err)
	}
	waiting, err := w.store.Waiting(t.Context(), l, 10)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%d alerts wait: %v", len(waiting), err)
	}
	w.told, err = w.store.Freeze(t.Context(), l, nodestore.Draft{
		Text: "LOST", Alerts: 1, Last: waiting[0].Event.ID, NodeID: n.ID, Incident: n.Incident,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := w.client(t)
	id, err := c.SendMessage(t.Context(), telegram.Message{Chat: group, HTML: "LOST", Buttons: Buttons("en", w.told.ID)})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Told(t.Context(), l, w.told.ID, id); err != nil {
		t.Fatal(err)
	}
}

func (w *world) client(t *testing.T) *telegram.Client {
	t.Helper()
	c := telegram.New(telegram.Options{URL: w.fake.URL(), Token: telegramtest.Token, Timeout: time.Second})
	t.Cleanup(c.Close)
	return c
}

// start runs a bot until stop, or the end of the test.
func (w *world) start(t *testing.T, id string, store Store) (stop func()) {
	t.Helper()
	return w.startWith(t, id, store, quick)
}

func (w *world) startWith(t *testing.T, id string, store Store, timing Timing) (stop func()) {
	t.Helper()
	s, err := New(Options{
		ID: id, Store: store, Client: w.client(t), Chats: []string{"7", group + ":3"}, Language: "en", Format: format,
		Log: zerolog.New(w.log), Timing: timing,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// until waits for something that Telegram or the store shows.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited for %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// answered waits until people have read each of these texts.
func (w *world) answered(t *testing.T, texts ...string) []telegramtest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all, err := w.fake.WaitFor(ctx, telegramtest.Containing(texts...))
	if err != nil {
		t.Fatalf("%v: %+v; log:\n%s", err, all, w.log)
	}
	return all
}

func (w *world) silences(t *testing.T) []nodestore.Silence {
	t.Helper()
	all, err := w.store.Silences(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCommandsAreAnsweredWhereTheyCameFrom(t *testing.T) {
	w := newWorld(t)
	w.start(t, "a", w.store)
	w.fake.Say(group, 3, "bob", "/status@"+telegramtest.BotName)
	w.fake.Say("7", 0, "ann", "/node rig-8")
	w.fake.Say(group, 0, "bob", "/silence dc=home 2h")
	all := w.answered(t, "Nodes: 2. UP 1", "rig-8 LOST since", "dc=home is silenced until")
	where := make(map[string]telegramtest.Message)
	for _, m := range all[1:] {
		where[strings.Fields(m.Plain)[0]] = m
	}
	if m := where["Nodes:"]; m.Chat != group || m.Thread != 3 || !strings.Contains(m.Plain, "rig-8 LOST") {
		t.Errorf("%+v", m)
	}
	if m := where["❌"]; m.Chat != "7" {
		t.Errorf("%+v", m)
	}
	if s := w.silences(t); len(s) != 1 || s[0].Value != "dc=home" || s[0].By != "@bob" || s[0].Until.Sub(s[0].From) != 2*time.Hour {
		t.Errorf("%+v", s)
	}
	w.fake.Say("7", 0, "ann", "/unsilence dc=home")
	w.answered(t, "dc=home: the silence is over")
	until(t, "every update to be confirmed", func() bool { return w.fake.Unconfirmed() == 0 })
	if s := w.silences(t); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// Nobody outside of the configured chats can command, nor learns that anybody is there.
func TestForeignChatsAreNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.start(t, "a", w.store)
	for range 3 {
		w.fake.Say("-666", 0, "eve", "/silence all 1d")
	}
	w.fake.Say("66", 0, "eve", "/status")
	w.fake.Say("7", 0, "ann", "/help")
	all := w.answered(t, "/unsilence ID")
	if len(all) != 2 || len(w.silences(t)) != 0 {
		t.Errorf("%+v", all)
	}
	if log := w.log.String(); strings.Count(log, `"-666"`) != 1 || strings.Count(log, `"66"`) != 1 {
		t.Errorf("one line for each chat is wanted:\n%s", log)
	}
}

func TestButtonsUnderAFailure(t *testing.T) {
	w := newWorld(t)
	w.start(t, "a", w.store)
	first := w.fake.Press(1, "bob", fmt.Sprintf("a:%d", w.told.ID))
	pressed := func(id, want string) {
		t.Helper()
		until(t, want, func() bool { text, ok := w.fake.Answered(id); return ok && strings.Contains(text, want) })
	}
	pressed(first, "no more reminders")
	buttons := func() string { b := w.fake.Messages()[0].Buttons; return b[0][0].Text + " | " + b[0][1].Text }
	until(t, "the button to say who", func() bool { return buttons() == "✓ Acknowledged by @bob | Silence 1 h" })
	acks, err := w.store.Acknowledgements(t.Context(), []string{"rig-8"})
	if err != nil || acks["rig-8"].By != "@bob" || acks["rig-8"].Incident != w.told.Incident {
		t.Errorf("%+v, %v", acks, err)
	}
	pressed(w.fake.Press(1, "ann", fmt.Sprintf("a:%d", w.told.ID)), "Already acknowledged by @bob")
	pressed(w.fake.Press(1, "ann", fmt.Sprintf("s:%d", w.told.ID)), "Silenced until")
	until(t, "both buttons to say who", func() bool {
		return strings.HasPrefix(buttons(), "✓ Acknowledged by @bob | 🔇 Until") && strings.HasSuffix(buttons(), "@ann")
	})
	if s := w.silences(t); len(s) != 1 || s[0].Scope != nodestore.ScopeNode || s[0].Value != "rig-8" {
		t.Errorf("%+v", s)
	}
	pressed(w.fake.Press(1, "ann", "a:999"), "This incident is over")
	if n := len(w.fake.Messages()); n != 1 {
		t.Errorf("%d messages: buttons need none", n)
	}
}

// Whatever call fails, before or after it took effect: a command is run, and run once.
func TestNoCommandIsRunTwice(t *testing.T) {
	for _, call := range []string{"AddSilence", "handled"} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprint(call, " ", done), func(t *testing.T) {
				w := newWorld(t)
				failures := 0
				f := &faulty{Store: w.store, fail: func(c string, d bool) error {
					if c == call && d == done && failures < 2 {
						failures++
						return nodestore.ErrUnavailable
					}
					return nil
				}}
				w.fake.Say("7", 0, "ann", "/silence rig-8 2h")
				patient := quick
				patient.Lease = 10 * time.Second // a disk that is slow for once costs no lease
				w.startWith(t, "a", f, patient)
				w.fake.Say("7", 0, "ann", "/help")
				w.answered(t, "/unsilence ID")
				if s := w.silences(t); len(s) != 1 {
					t.Errorf("%d silences: %+v", len(s), s)
				}
				answers := 0
				for _, m := range w.fake.Messages() {
					if strings.Contains(m.Plain, "rig-8 is silenced") {
						answers++
					}
				}
				if answers != 1 || failures == 0 {
					t.Errorf("%d answers after %d failures", answers, failures)
				}
			})
		}
	}
}

// Of several programs one asks for updates; wherever in a command it dies, another goes on from there. The command is
// run once, and answered once.
func TestAnotherProgramGoesOn(t *testing.T) {
	rounds, taken := 0, []time.Duration{}
	for _, call := range []string{"Silences", "AddSilence", "handled"} {
		for _, done := range []bool{false, true} {
			if call == "Silences" && done || call == "handled" && done {
				continue // nothing happens there that does not at the next one; and what was noted is not run again
			}
			rounds++
			t.Run(fmt.Sprint(call, " ", done), func(t *testing.T) {
				w := newWorld(t)
				dead := make(chan struct{})
				defer close(dead)
				a := &faulty{Store: w.store}
				w.start(t, "a", a)
				w.fake.Say("7", 0, "ann", "/node rig-9")
				w.answered(t, "rig-9 UP")
				until(t, "the first command to be done with", func() bool { return w.fake.Unconfirmed() == 0 })
				w.start(t, "b", w.store)
				died := make(chan time.Time, 1)
				killed := false
				a.set(func(c string, d bool) error {
					if killed = killed || c == call && d == done; killed {
						select {
						case died <- time.Now():
						default:
						}
						return errDead // nothing gets out of it any more
					}
					return nil
				}, dead)
				w.fake.Say("7", 0, "ann", "/silence rig-8 3h")
				w.answered(t, "rig-8 is silenced")
				taken = append(taken, time.Since(<-died))
				until(t, "every update to be confirmed", func() bool { return w.fake.Unconfirmed() == 0 })
				if n := len(w.silences(t)); n != 1 {
					t.Errorf("%d silences", n)
				}
				seen := make(map[string]int)
				for _, m := range w.fake.Messages() {
					if seen[m.Plain]++; seen[m.Plain] > 1 {
						t.Errorf("answered twice: %s", m.Plain)
					}
				}
				if strings.Contains(w.log.String(), "another program asks") {
					t.Errorf("both ask:\n%s", w.log)
				}
			})
		}
	}
	slices.Sort(taken)
	if len(taken) < rounds {
		return
	}
	reliability.Report(t, reliability.Row{
		Group: "Telegram", Fault: "the program that takes the bot's commands is killed within a command", Rounds: rounds,
		Must: "another goes on; the command is run once and answered once",
		Seen: fmt.Sprintf("run once and answered once; with a lease of %v, answered after %v (median), %v at most", quick.Lease,
			taken[len(taken)/2].Round(10*time.Millisecond), taken[len(taken)-1].Round(10*time.Millisecond)),
	})
}

// A conflict that comes from the program which took over is no news to anybody.
func TestAConflictWithASuccessorIsNotSaid(t *testing.T) {
	w := newWorld(t)
	renewed := make(chan struct{}, 100)
	a := &faulty{Store: w.store, fail: func(call string, _ bool) error {
		if call == "RenewPoller" {
			renewed <- struct{}{}
		}
		return nil
	}}
	slow := quick
	slow.Lease, slow.Wait = time.Minute, 20*time.Second // only the conflict can tell it
	s, err := New(Options{ID: "a", Store: a, Client: w.client(t), Chats: []string{"7"}, Language: "en", Format: format, Log: zerolog.New(w.log), Timing: slow})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	until(t, "the first to ask", func() bool { return w.fake.Polls() == 1 })
	seen, err := w.store.AcquirePoller(t.Context(), "123456", "b", time.Minute)
	if !errors.Is(err, nodestore.ErrHeld) {
		t.Fatal(err)
	}
	if _, err := w.store.TakeOverPoller(t.Context(), seen, "b", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(t).Updates(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	until(t, "the first to look at its lease, or to complain", func() bool { return len(renewed) > 0 || w.log.String() != "" })
	cancel()
	<-done
	if log := w.log.String(); log != "" || w.fake.Polls() != 2 {
		t.Errorf("asked %d times, log:\n%s", w.fake.Polls(), log)
	}
}

// Renewing the lease does not forget which updates were handled.
func TestARenewalKeepsWhatWasHandled(t *testing.T) {
	w := newWorld(t)
	l, err := w.store.AcquirePoller(t.Context(), "1", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{Hold: lease.Hold{TTL: time.Minute, Now: time.Now}, store: w.store, lease: l, next: l.Next}
	for _, next := range []int64{5, 0, 3} {
		if err := h.renew(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := w.store.AcquirePoller(t.Context(), "1", "a", time.Minute); err != nil || again.Next != 5 || h.at() != 5 {
		t.Errorf("%+v, %v, at %d", again, err, h.at())
	}
}

// echo is a Telegram that hands out every update twice.
type echo struct {
	Client
	last []telegram.Update
}

func (e *echo) Updates(ctx context.Context, offset int64, wait time.Duration) ([]telegram.Update, error) {
	if again := e.last; again != nil {
		e.last = nil
		return again, nil
	}
	all, err := e.Client.Updates(ctx, offset, wait)
	e.last = all
	return all, err
}

func TestAnUpdateThatComesAgainIsNotRunAgain(t *testing.T) {
	w := newWorld(t)
	s, err := New(Options{ID: "a", Store: w.store, Client: &echo{Client: w.client(t)}, Chats: []string{"7"}, Language: "en",
		Format: format, Log: zerolog.New(w.log), Timing: quick})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	w.fake.Say("7", 0, "ann", "/node rig-9")
	w.answered(t, "rig-9 UP")
	w.fake.Say("7", 0, "ann", "/help")
	w.answered(t, "/unsilence ID")
	cancel()
	<-done
	if n := len(w.fake.Messages()); n != 3 {
		t.Errorf("%d messages: %+v", n, w.fake.Messages())
	}
}

func TestAnotherProgramWithTheSameBotIsSaidInWords(t *testing.T) {
	w := newWorld(t)
	w.fake.NextOf("getUpdates", telegramtest.Conflict(), telegramtest.Conflict(), telegramtest.Broken(502))
	w.start(t, "a", w.store)
	w.fake.Say("7", 0, "ann", "/help")
	w.answered(t, "/unsilence ID")
	log := w.log.String()
	if strings.Count(log, "another program asks Telegram for this bot's updates") != 1 || !strings.Contains(log, "taking commands again") {
		t.Errorf("log:\n%s", log)
	}
}

func TestAnAnswerIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.fake.Next("7", telegramtest.Broken(500), telegramtest.Drop())
	w.start(t, "a", w.store)
	w.fake.Say("7", 0, "ann", "/help")
	w.answered(t, "/unsilence ID")
}

// A button under a message that tells no single failure, or of which nothing is known any more, changes nothing.
func TestAButtonUnderSomethingElse(t *testing.T) {
	w := newWorld(t)
	l, err := w.store.AcquireChat(t.Context(), group, "notifier", time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.store.Freeze(t.Context(), l, nodestore.Draft{Text: "several", Summary: "2026-03-01"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{other.ID, 999} {
		for _, data := range []string{"a:", "s:"} {
			c, _ := parse(pressed(fmt.Sprint(data, id)), "fake_bot")
			f, err := gather(t.Context(), w.store, c, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if p := answererFor("en").decide(c, f, time.Now()); p.acknowledge != nil || p.silence != nil || p.toast != "This incident is over" {
				t.Errorf("%s%d: %+v", data, id, p)
			}
		}
	}
}

func TestAnUpdateThatPanicsHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	odd := format
	odd.Reason = func(string) string { panic("at the disco") }
	s, err := New(Options{ID: "a", Store: w.store, Client: w.client(t), Chats: []string{"7"}, Language: "en", Format: odd,
		Log: zerolog.New(w.log), Timing: quick})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	w.fake.Say("7", 0, "ann", "/down")
	w.fake.Say("7", 0, "ann", "/help")
	w.answered(t, "/unsilence ID")
	cancel()
	<-done
	if !strings.Contains(w.log.String(), "a command panicked") {
		t.Errorf("log:\n%s", w.log)
	}
}

// A group that became a supergroup goes on commanding, though the configuration has its old id.
func TestCommandsFromWhatAChatHasBecome(t *testing.T) {
	w := newWorld(t)
	l, err := w.store.AcquireChat(t.Context(), "7", "notifier", time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.MoveChat(t.Context(), l, "-1007"); err != nil {
		t.Fatal(err)
	}
	other, err := w.store.AcquireChat(t.Context(), "8", "notifier", time.Minute, time.Hour) // not configured here
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.MoveChat(t.Context(), other, "-1008"); err != nil {
		t.Fatal(err)
	}
	w.start(t, "a", w.store)
	w.fake.Say("-1008", 0, "eve", "/help")
	w.fake.Say("-1007", 0, "bob", "/help")
	if all := w.answered(t, "/unsilence ID"); len(all) != 2 || all[1].Chat != "-1007" {
		t.Errorf("%+v", all)
	}
}
