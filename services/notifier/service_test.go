package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// logBuffer keeps log lines for tests.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

// running is a service under test.
type running struct {
	*Service
	log  *logBuffer
	stop func() // and wait until it has ended
}

// start runs a notifier with the given ID on a store, until the test ends or stop is called.
func start(t *testing.T, id string, store nodestore.Deliveries, sender Sender, chats ...string) *running {
	t.Helper()
	return startWith(t, Options{ID: id, Store: store, Sender: sender, Chats: chats, Language: English})
}

// bubble is a test in fake time. Services it started are stopped before its end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func downs(n int) []node.Event {
	out := make([]node.Event, n)
	for i := range out {
		out[i] = node.Event{Kind: node.Changed, NodeID: fmt.Sprintf("node-%03d", i), From: node.Up, To: node.Down, Reason: "no_screen"}
	}
	return out
}

// named finds the nodes that a message is about: they stand at the start of a line, behind a mark in lists.
var named = regexp.MustCompile(`(?m)^(?:\S+ )?<code>(node-\d+)</code>`)

// tellings counts in how many messages each node is told of by name.
func tellings(messages []sent, chat string) map[string]int {
	out := make(map[string]int)
	for _, m := range messages {
		if m.chat != chat {
			continue
		}
		for _, found := range named.FindAllStringSubmatch(m.html, -1) {
			out[found[1]]++
		}
	}
	return out
}

// onceEach fails unless each of n nodes was told of exactly once.
func onceEach(t *testing.T, messages []sent, chat string, n int) {
	t.Helper()
	got := tellings(messages, chat)
	if len(got) != n {
		t.Errorf("%d nodes told of in %s, want %d", len(got), chat, n)
	}
	for id, times := range got {
		if times != 1 {
			t.Errorf("%s told of %d times", id, times)
		}
	}
}

func TestWakeTellsAtOnceAndPollingTellsAnyway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		s := start(t, "a", store, sender, "1")
		synctest.Wait()
		store.commit(downs(1)...)
		at := time.Now()
		s.Wake()
		if m := <-sender.accepted; m.at.Sub(at) != 0 {
			t.Errorf("told %v after the wake-up", m.at.Sub(at))
		}
		time.Sleep(time.Minute)
		store.commit(downs(1)...)
		at = time.Now()
		if m := <-sender.accepted; m.at.Sub(at) > 2*time.Second {
			t.Errorf("told %v after the event without a wake-up", m.at.Sub(at))
		}
		s.stop()
	})
}

func TestWhatIsReadyTogetherIsToldTogether(t *testing.T) {
	for n, want := range map[int][]string{
		1:             {"<b>Gensyn node DOWN</b>", "Reason: "},
		2:             {"<b>Gensyn: 2 DOWN</b>", "node-000", "node-001"},
		listLines:     {"<b>Gensyn: 15 DOWN</b>", "node-000", "node-014"},
		listLines + 1: {"<b>Gensyn: 16 DOWN</b>", "16 DOWN: no screen session", "First: ", "in the record"},
		45:            {"<b>Gensyn: 45 DOWN</b>", "45 DOWN: no screen session"},
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, sender := newMemory(), newScript(nil)
				store.commit(downs(n)...)
				start(t, "a", store, sender, "1")
				time.Sleep(time.Minute)
				all := sender.all()
				if len(all) != 1 || store.told("1") != n {
					t.Fatalf("%d messages, %d alerts recorded as told", len(all), store.told("1"))
				}
				for _, part := range want {
					if !strings.Contains(all[0].html, part) {
						t.Errorf("no %q in\n%s", part, all[0].html)
					}
				}
				if n <= listLines {
					onceEach(t, all, "1", n)
				}
			})
		})
	}
}

func TestQuietEventsAreNotTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		e := downs(2)
		e[0].Quiet = true
		store.commit(e...)
		start(t, "a", store, sender, "1")
		time.Sleep(10 * time.Second)
		if got := tellings(sender.all(), "1"); len(got) != 1 || got["node-001"] != 1 {
			t.Errorf("told %v, want node-001 alone", got)
		}
	})
}

func TestANewChatIsSparedOldNews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		store.commit(downs(2)[0])
		time.Sleep(time.Hour)
		store.commit(downs(2)[1])
		start(t, "a", store, sender, "1")
		time.Sleep(10 * time.Second)
		if got := tellings(sender.all(), "1"); len(got) != 1 || got["node-001"] != 1 {
			t.Errorf("told %v, want node-001 alone", got)
		}
	})
}

func TestRecoveryAnswersItsFailureWhenAlone(t *testing.T) {
	up := node.Event{Kind: node.Changed, NodeID: "node-000", From: node.Down, To: node.Up, Since: 1, Lasted: time.Minute}
	for name, with := range map[string][]node.Event{"alone": {up}, "among others": {up, downs(2)[1]}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, sender := newMemory(), newScript(nil)
				start(t, "a", store, sender, "1")
				store.commit(downs(1)...)
				<-sender.accepted
				time.Sleep(time.Minute)
				store.commit(with...)
				want := int64(0)
				if len(with) == 1 {
					want = 1
				}
				if m := <-sender.accepted; m.replyTo != want {
					t.Errorf("answers message %d, want %d", m.replyTo, want)
				}
			})
		})
	}
}

// gaps fails unless messages keep the pace that Telegram asks for.
func gaps(t *testing.T, what string, at []time.Time) {
	t.Helper()
	for i := range at {
		if i > 0 && at[i].Sub(at[i-1]) < time.Second {
			t.Errorf("%s: messages %v apart", what, at[i].Sub(at[i-1]))
		}
		if i >= 20 && at[i].Sub(at[i-20]) < time.Minute {
			t.Errorf("%s: 21 messages within %v", what, at[i].Sub(at[i-20]))
		}
	}
}

// What is wrong with the monitor itself is told at once, also to a chat that was told much just before.
func TestMonitorEventsDoNotWaitForABusyChat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		s := startWith(t, Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}})
		store.commit(downs(30)...)
		s.Wake()
		time.Sleep(2 * time.Second)
		late := downs(31)[30]
		store.commit(late)
		s.Wake()
		time.Sleep(5 * time.Second)
		if n := len(sender.all()); n != 1 {
			t.Fatalf("%d messages, want 1: the chat is busy", n)
		}
		store.commit(node.Event{Kind: node.Deaf, Nodes: 30})
		s.Wake()
		time.Sleep(time.Second)
		if n := len(sender.all()); n != 2 {
			t.Errorf("%d messages, want 2: the monitor is deaf", n)
		}
	})
}

// slowStore takes a second to decide about events, and notes when it was asked to.
type slowStore struct {
	nodestore.Deliveries
	mu    sync.Mutex
	asked []time.Time
	pages []int // how many events each call passed
}

func (s *slowStore) Collect(ctx context.Context, l nodestore.ChatLease, limit int, choose nodestore.Chooser) (int, error) {
	at := time.Now()
	n, err := s.Deliveries.Collect(ctx, l, limit, choose)
	if n > 0 {
		time.Sleep(time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.pages = append(s.asked, at), append(s.pages, n)
	return n, err
}

// Of very many events the first message tells those that are decided about soon. The others are decided about without
// a rest while the chat's pace is waited for, so that the second message tells all of them.
func TestManyEventsAreCollectedWithoutARest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const many = collectFirst + 2*collectLimit + 1
		w.add(t, "", names(0, many)...)
		store, sender := &slowStore{Deliveries: w.store}, newScript(nil)
		startWith(t, Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}})
		time.Sleep(time.Second)
		store.mu.Lock()
		store.asked, store.pages = nil, nil
		store.mu.Unlock()
		began := time.Now()
		w.set(t, node.Lost, node.ReasonSilent, names(0, many)...)
		time.Sleep(25 * time.Second)
		store.mu.Lock()
		defer store.mu.Unlock()
		first := slices.IndexFunc(store.pages, func(n int) bool { return n > 0 })
		if want := []int{collectFirst, collectLimit, collectLimit, 1}; !slices.Equal(store.pages[first:first+4], want) {
			t.Errorf("pages of %v, want %v", store.pages[first:first+4], want)
		}
		for i, at := range store.asked[first+1 : first+4] {
			if rest := at.Sub(store.asked[first+i]) - time.Second; rest > 100*time.Millisecond {
				t.Errorf("page %d was asked for %v after the one before", i+1, rest)
			}
		}
		messages := sender.all()
		if len(messages) != 2 || counted(messages) != many {
			t.Fatalf("%d nodes counted in %d messages, want %d in 2", counted(messages), len(messages), many)
		}
		if n := counted(messages[:1]); n != collectFirst || messages[0].at.Sub(store.asked[first]) > 1100*time.Millisecond {
			t.Errorf("the first message, %v after the nodes were lost, tells of %d", messages[0].at.Sub(began), n)
		}
	}, "sqlite")
}

// joins are so many nodes that appear for the first time.
func joins(n int) []node.Event {
	es := make([]node.Event, n)
	for i := range es {
		es[i] = node.Event{Kind: node.Joined, NodeID: fmt.Sprintf("new-%03d", i), To: node.Up}
	}
	return es
}

// A failure waits only behind failures: not behind the joining of many, also where another notifier told of that.
func TestFailuresDoNotWaitBehindGoodNews(t *testing.T) {
	for name, takeOver := range map[string]bool{"one notifier": false, "another takes over": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, sender := newMemory(), newScript(nil)
				o := Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}}
				s := startWith(t, o)
				tell := func(wait time.Duration, want int, why string, events ...node.Event) {
					t.Helper()
					store.commit(events...)
					s.Wake()
					time.Sleep(wait)
					if n := len(sender.all()); n != want {
						t.Fatalf("%d messages, want %d: %s", n, want, why)
					}
				}
				tell(2*time.Second, 1, "many joined", joins(30)...)
				if takeOver {
					s.stop()
					o.ID = "b"
					s = startWith(t, o)
					tell(2*time.Second, 1, "there is no news")
				}
				tell(2*time.Second, 1, "the chat is busy", joins(1)...)
				tell(time.Second, 2, "a node is down", downs(1)...)
				tell(2*time.Second, 2, "the chat is busy", joins(1)...)
				tell(2*time.Second, 3, "all are down", downs(40)...)
				tell(2*time.Second, 3, "many failures were told", downs(1)...)
				tell(15*time.Second, 4, "all that waits is told")
			})
		})
	}
}

// What joins while a failure is told waits as before.
func TestAFailureThatIsToldPressesNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		sender := newScript(func(call int, _, _ string) error {
			store.commit(joins(1)...)
			return nil
		})
		s := startWith(t, Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}})
		store.commit(append(joins(30), downs(1)...)...)
		s.Wake()
		time.Sleep(10 * time.Second)
		if n := len(sender.all()); n != 1 {
			t.Errorf("%d messages, want 1: the chat is busy", n)
		}
	})
}

// What waits because the chat was told much is not looked at again and again: it may be a million alerts. The monitor's
// own deafness waits for nothing, also when another notifier collected it.
func TestABusyChatIsNotLoadedBeforeItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		var loads atomic.Int64
		var ill atomic.Bool
		store.fail = func(call string, _ bool) error {
			switch {
			case call == "Waiting":
				loads.Add(1)
			case call == "Freeze" && ill.Load():
				return errors.New("no freezing")
			}
			return nil
		}
		o := Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}}
		s := startWith(t, o)
		store.commit(joins(30)...)
		s.Wake()
		time.Sleep(time.Second)
		before := loads.Load()
		for range 20 {
			store.commit(joins(1)...)
			s.Wake()
			time.Sleep(100 * time.Millisecond)
		}
		if n := loads.Load() - before; n > 0 {
			t.Errorf("loaded %d times while the chat rests", n)
		}
		store.commit(node.Event{Kind: node.Deaf})
		s.Wake()
		time.Sleep(time.Second)
		if n := len(sender.all()); n != 2 {
			t.Fatalf("%d messages, want 2: the monitor is deaf", n)
		}
		store.commit(joins(30)...)
		s.Wake()
		time.Sleep(time.Second)
		ill.Store(true)
		store.commit(node.Event{Kind: node.Deaf})
		s.Wake()
		time.Sleep(100 * time.Millisecond)
		s.stop()
		ill.Store(false)
		o.ID = "b"
		startWith(t, o)
		time.Sleep(2 * time.Second)
		if n := len(sender.all()); n != 3 {
			t.Errorf("%d messages, want 3: the monitor is deaf again", n)
		}
	})
}

// A failure that a notifier collected, and did not live to tell, presses who takes over.
func TestAFailureOfAnotherNotifierPresses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		var ill atomic.Bool
		store.fail = func(call string, _ bool) error {
			if call == "Freeze" && ill.Load() {
				return errors.New("no freezing")
			}
			return nil
		}
		o := Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}}
		s := startWith(t, o)
		store.commit(joins(30)...)
		s.Wake()
		time.Sleep(2 * time.Second)
		ill.Store(true)
		store.commit(downs(1)...)
		s.Wake()
		time.Sleep(100 * time.Millisecond)
		s.stop()
		ill.Store(false)
		o.ID = "b"
		startWith(t, o)
		time.Sleep(2 * time.Second)
		if n := len(sender.all()); n != 2 {
			t.Errorf("%d messages, want 2: a node is down", n)
		}
	})
}

// A notification that reached nobody is as urgent when it is told with what happened since.
func TestAThawedFailureStaysUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		var fails atomic.Bool
		sender := newScript(func(int, string, string) error {
			if fails.Load() {
				return &telegram.Error{Words: "wait", RetryAfter: 5 * time.Second}
			}
			return nil
		})
		s := startWith(t, Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}})
		store.commit(joins(30)...)
		s.Wake()
		time.Sleep(2 * time.Second)
		fails.Store(true)
		store.commit(downs(1)...)
		s.Wake()
		time.Sleep(2 * time.Second)
		fails.Store(false)
		store.commit(joins(1)...)
		s.Wake()
		time.Sleep(6 * time.Second)
		if n := len(sender.all()); n != 2 {
			t.Errorf("%d messages, want 2: a node is down", n)
		}
	})
}

// One alert every 700 ms, for five minutes, to a group with two topics and to a person.
func TestPace(t *testing.T) {
	const alerts = 425
	for name, busy := range map[string]int{"as Telegram asks": 1 << 30, "and less when busy": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, sender := newMemory(), newScript(nil)
				chats := []string{"-100", "-100:7", "2"}
				s := startWith(t, Options{ID: "a", Store: store, Sender: sender, Chats: chats, Timing: Timing{Busy: busy}})
				for i := range alerts {
					e := downs(1)[0]
					e.NodeID = fmt.Sprintf("node-%03d", i)
					store.commit(e)
					s.Wake()
					time.Sleep(700 * time.Millisecond)
				}
				time.Sleep(2 * time.Minute)
				byGroup := make(map[string][]time.Time)
				byChat := make(map[string]int)
				for _, m := range sender.all() {
					byGroup[paceGroup(m.chat)] = append(byGroup[paceGroup(m.chat)], m.at)
					byChat[m.chat]++
				}
				for group, at := range byGroup {
					gaps(t, group, at)
				}
				for _, chat := range chats {
					if got := store.told(chat); got != alerts {
						t.Errorf("%s: %d alerts recorded as told, want %d", chat, got, alerts)
					}
					// 298 s: one message in 15 s when busy; else 20 a minute, which topics of a group share as chance has it.
					if n := byChat[chat]; busy == 0 && n > 35 || busy > 0 && n < 25 {
						t.Errorf("%s: %d messages", chat, n)
					}
				}
			})
		})
	}
}

// unreachable is the error of a sender that made no connection.
type unreachable struct{}

func (unreachable) Error() string     { return "no route" }
func (unreachable) NotAccepted() bool { return true }

func TestNothingIsLostWhileTelegramFails(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		failures int
		least    time.Duration // until the first message
		most     time.Duration
		messages int // 1 when it is certain that none was accepted: all is told together then
	}{
		"429":             {&telegram.Error{Words: "wait", RetryAfter: 37 * time.Second}, 1, 37 * time.Second, 38 * time.Second, 1},
		"429 again":       {&telegram.Error{Words: "wait", RetryAfter: 37 * time.Second}, 10, 370 * time.Second, 380 * time.Second, 1},
		"502":             {&telegram.Error{Words: "502"}, 3, 7 * time.Second, 9 * time.Second, 2},
		"refused, a day":  {&telegram.Error{Words: "no way"}, 288, 22 * time.Hour, 26 * time.Hour, 2},
		"no route, a day": {unreachable{}, 288, 22 * time.Hour, 26 * time.Hour, 1},
		"403 mended":      {&telegram.Error{Words: "blocked", Permanent: true}, 3, 15 * time.Minute, 15*time.Minute + 5*time.Second, 1},
		"foreign error":   {errors.New("what"), 2, 3 * time.Second, 4 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newMemory()
				sender := newScript(func(call int, _, _ string) error {
					if call <= tt.failures {
						return tt.err
					}
					return nil
				})
				store.commit(downs(1)...)
				began := time.Now()
				s := start(t, "a", store, sender, "1")
				time.Sleep(tt.least / 2)
				store.commit(downs(3)[1:]...)
				s.Wake()
				took := (<-sender.accepted).at.Sub(began)
				if took < tt.least || took > tt.most {
					t.Errorf("told after %v, want from %v to %v", took, tt.least, tt.most)
				}
				time.Sleep(10 * time.Second)
				onceEach(t, sender.all(), "1", 3)
				if n := len(sender.all()); n != tt.messages {
					t.Errorf("%d messages, want %d", n, tt.messages)
				}
				if n := s.log.count("cannot tell yet"); n != 1 {
					t.Errorf("%d log lines for one row of failures", n)
				}
			})
		})
	}
}

func TestAHangingTelegramIsGivenUpAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		hang := senderFunc(nil)
		calls := 0
		inner := newScript(nil)
		hang = func(ctx context.Context, chat, html string, reply int64) (int64, error) {
			if calls++; calls == 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return inner.Send(ctx, chat, html, reply)
		}
		store.commit(downs(1)...)
		start(t, "a", store, hang, "1")
		time.Sleep(time.Minute)
		onceEach(t, inner.all(), "1", 1)
	})
}

// senderFunc makes a Sender of a function.
type senderFunc func(ctx context.Context, chat, html string, reply int64) (int64, error)

func (f senderFunc) Send(ctx context.Context, chat, html string, reply int64) (int64, error) {
	return f(ctx, chat, html, reply)
}

func TestABlockedChatDelaysNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, inner := newMemory(), newScript(nil)
		sender := senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
			switch chat {
			case "1":
				return 0, &telegram.Error{Words: "blocked", Permanent: true}
			case "2":
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return inner.Send(ctx, chat, html, reply)
		})
		s := start(t, "a", store, sender, "1", "2", "3")
		for i := range 20 {
			time.Sleep(5 * time.Second)
			store.commit(downs(20)[i])
			at := time.Now()
			s.Wake()
			if m := <-inner.accepted; m.at.Sub(at) > time.Second {
				t.Errorf("alert %d took %v", i, m.at.Sub(at))
			}
		}
		onceEach(t, inner.all(), "3", 20)
	})
}

func TestStopLetsAMessageOnItsWayArrive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, inner := newMemory(), newScript(nil)
		sending := make(chan struct{})
		sender := senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
			close(sending)
			time.Sleep(500 * time.Millisecond)
			return inner.Send(ctx, chat, html, reply)
		})
		store.commit(downs(1)...)
		s := start(t, "a", store, sender, "1")
		<-sending
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if store.told("1") != 1 {
			t.Error("the message was sent but not noted")
		}
	})
}

func TestStopDoesNotWaitForAHangingTelegram(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		sending := make(chan struct{})
		sender := senderFunc(func(ctx context.Context, _, _ string, _ int64) (int64, error) {
			close(sending)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		store.commit(downs(1)...)
		s := start(t, "a", store, sender, "1")
		<-sending
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}
