package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// tellings counts in how many messages each node is told of.
func tellings(messages []sent, chat string) map[string]int {
	out := make(map[string]int)
	for _, m := range messages {
		if m.chat != chat {
			continue
		}
		for part := range strings.SplitSeq(m.html, "\n\n") {
			_, rest, _ := strings.Cut(part, "<code>")
			id, _, _ := strings.Cut(rest, "</code>")
			out[id]++
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
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		store.commit(downs(45)...)
		start(t, "a", store, sender, "1")
		time.Sleep(10 * time.Second)
		all := sender.all()
		if len(all) != 3 {
			t.Fatalf("%d messages, want 3", len(all))
		}
		for i, want := range []int{20, 20, 5} {
			if got := strings.Count(all[i].html, "DOWN"); got != want {
				t.Errorf("message %d tells %d alerts, want %d", i, got, want)
			}
		}
		onceEach(t, all, "1", 45)
		if got := store.told("1"); got != 45 {
			t.Errorf("%d alerts recorded as told, want 45", got)
		}
	})
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

func TestPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		store.commit(downs(60 * maxAlerts)...)
		start(t, "a", store, sender, "-100", "-100:7", "2")
		time.Sleep(10 * time.Minute)
		all := sender.all()
		onceEach(t, all, "-100", 60*maxAlerts)
		onceEach(t, all, "-100:7", 60*maxAlerts)
		byGroup := make(map[string][]time.Time)
		for _, m := range all {
			byGroup[paceGroup(m.chat)] = append(byGroup[paceGroup(m.chat)], m.at)
		}
		if len(byGroup) != 2 || len(byGroup["-100"]) != 120 {
			t.Errorf("messages by group: %d groups, %d to -100", len(byGroup), len(byGroup["-100"]))
		}
		for group, at := range byGroup {
			for i := range at {
				if i > 0 && at[i].Sub(at[i-1]) < time.Second {
					t.Errorf("%s: messages %v apart", group, at[i].Sub(at[i-1]))
				}
				if i >= 20 && at[i].Sub(at[i-20]) < time.Minute {
					t.Errorf("%s: 21 messages within %v", group, at[i].Sub(at[i-20]))
				}
			}
		}
	})
}

func TestNothingIsLostWhileTelegramFails(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		failures int
		least    time.Duration // until the first message
		most     time.Duration
	}{
		"429":            {&telegram.Error{Words: "wait", RetryAfter: 37 * time.Second}, 1, 37 * time.Second, 38 * time.Second},
		"429 again":      {&telegram.Error{Words: "wait", RetryAfter: 37 * time.Second}, 10, 370 * time.Second, 380 * time.Second},
		"502":            {&telegram.Error{Words: "502"}, 3, 7 * time.Second, 9 * time.Second},
		"refused, a day": {&telegram.Error{Words: "no way"}, 288, 22 * time.Hour, 26 * time.Hour},
		"403 mended":     {&telegram.Error{Words: "blocked", Permanent: true}, 3, 15 * time.Minute, 15*time.Minute + 5*time.Second},
		"foreign error":  {errors.New("what"), 2, 3 * time.Second, 4 * time.Second},
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
				if n := len(sender.all()); n != 2 {
					t.Errorf("%d messages, want the frozen one and the rest together", n)
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
