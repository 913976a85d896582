package notifier

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// mortal is a store's connection of one process. Once it is cut, nothing of that process reaches the store.
type mortal struct {
	nodestore.Deliveries
	memory *memory
	dead   atomic.Bool
	die    func(call string) // called before and after calls
}

func (m *mortal) at(call string) error {
	if m.die != nil {
		m.die(call)
	}
	if m.dead.Load() {
		return nodestore.ErrUnavailable
	}
	return nil
}

func (m *mortal) RenewChat(ctx context.Context, l nodestore.ChatLease, ttl time.Duration) error {
	if err := m.at("renew"); err != nil {
		return err
	}
	return m.memory.RenewChat(ctx, l, ttl)
}

func (m *mortal) ReleaseChat(ctx context.Context, l nodestore.ChatLease) error {
	if err := m.at("release"); err != nil {
		return err
	}
	return m.memory.ReleaseChat(ctx, l)
}

func (m *mortal) AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (nodestore.ChatLease, error) {
	if err := m.at("acquire"); err != nil {
		return nodestore.ChatLease{}, err
	}
	return m.memory.AcquireChat(ctx, chat, owner, ttl, lookback)
}

func (m *mortal) Freeze(ctx context.Context, l nodestore.ChatLease, d nodestore.Draft) (nodestore.Notification, error) {
	if err := m.at("before freeze"); err != nil {
		return nodestore.Notification{}, err
	}
	n, err := m.memory.Freeze(ctx, l, d)
	if err == nil {
		err = m.at("after freeze")
	}
	return n, err
}

func (m *mortal) Told(ctx context.Context, l nodestore.ChatLease, notification, message int64) error {
	if err := m.at("before told"); err != nil {
		return err
	}
	err := m.memory.Told(ctx, l, notification, message)
	if err == nil {
		err = m.at("after told")
	}
	return err
}

func (m *mortal) Failed(ctx context.Context, l nodestore.ChatLease, notification int64, reason string) error {
	if err := m.at("failed"); err != nil {
		return err
	}
	return m.memory.Failed(ctx, l, notification, reason)
}

// A process ends at any step; another takes over. Nothing is lost, and only what Telegram accepted without a note
// of it is sent again, exactly as it was.
func TestACrashLosesNothing(t *testing.T) {
	for point, repeats := range map[string]int{
		"before freeze": 0, "after freeze": 0, "send": 0, "before told": 1, "after told": 0,
	} {
		t.Run(point, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, accepted := newMemory(), newScript(nil)
				store.commit(downs(3)...)
				cut := &mortal{Deliveries: store, memory: store}
				dying := make(chan struct{})
				end := func() {
					if !cut.dead.Swap(true) {
						close(dying)
					}
				}
				cut.die = func(call string) {
					if call == point {
						end()
					}
				}
				first := start(t, "a", cut, senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
					if point == "send" {
						end()
					}
					if cut.dead.Load() {
						<-ctx.Done() // nothing gets out of a dead process
						return 0, ctx.Err()
					}
					return accepted.Send(ctx, chat, html, reply)
				}), "1")
				<-dying
				store.commit(downs(5)[3:]...) // would be told along, were the message not frozen
				first.stop()
				died := time.Now()

				start(t, "b", store, accepted, "1")
				time.Sleep(30 * time.Second)
				all := accepted.all()
				for _, m := range all[repeats:] {
					if wait := m.at.Sub(died); wait > 15*time.Second {
						t.Errorf("told %v after the crash", wait)
					}
				}
				if repeats == 1 && (len(all) < 2 || all[0].html != all[1].html) {
					t.Errorf("the first message was not repeated as it was: %v", all)
				}
				onceEach(t, all[repeats:], "1", 5)
				if got := store.told("1"); got != 5 {
					t.Errorf("%d alerts recorded as told, want 5", got)
				}
			})
		})
	}
}

// A panic in one chat's worker is that worker's restart; it begins with what was frozen.
func TestAPanicIsARestart(t *testing.T) {
	for _, point := range []string{"before freeze", "after freeze", "before told", "after told", "send"} {
		t.Run(point, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, accepted := newMemory(), newScript(nil)
				store.commit(downs(3)...)
				panicked := false
				once := func(call string) {
					if call == point && !panicked {
						panicked = true
						panic("injected")
					}
				}
				s := start(t, "a", &mortal{Deliveries: store, memory: store, die: once},
					senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
						once("send")
						return accepted.Send(ctx, chat, html, reply)
					}), "1")
				time.Sleep(30 * time.Second)
				onceEach(t, accepted.all(), "1", 3) // this process remembers what Telegram accepted
				if store.told("1") != 3 || s.log.count("panicked: starting again") != 1 {
					t.Errorf("%d told, %d panics in the log", store.told("1"), s.log.count("panicked: starting again"))
				}
			})
		})
	}
}

func TestTwoNotifiersTellOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		a := start(t, "a", store, sender, "1", "2")
		b := start(t, "b", store, sender, "1", "2")
		for i := range 30 {
			store.commit(downs(30)[i])
			a.Wake()
			b.Wake()
			time.Sleep(1500 * time.Millisecond)
			if i == 15 {
				a.stop() // gives its leases back
			}
		}
		time.Sleep(2 * time.Minute)
		onceEach(t, sender.all(), "1", 30)
		onceEach(t, sender.all(), "2", 30)
	})
}

func TestAStandByGoesOnAtOnceAfterAStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		a := start(t, "a", store, sender, "1")
		synctest.Wait()
		start(t, "b", store, sender, "1")
		time.Sleep(time.Minute)
		a.stop()
		store.commit(downs(1)...)
		at := time.Now()
		if m := <-sender.accepted; m.at.Sub(at) > 3*time.Second {
			t.Errorf("told %v after the stop", m.at.Sub(at))
		}
	})
}

// A notifier that cannot reach the database must not send what another may be telling by now.
func TestACutOffNotifierStopsSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		cut := &mortal{Deliveries: store, memory: store}
		slow := senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
			return 0, fmt.Errorf("away")
		})
		start(t, "a", cut, slow, "1")
		synctest.Wait()
		store.commit(downs(1)...)
		time.Sleep(5 * time.Second)
		cut.dead.Store(true)
		start(t, "b", store, sender, "1")
		time.Sleep(15 * time.Second)
		onceEach(t, sender.all(), "1", 1)
		cut.dead.Store(false)
		store.commit(downs(2)[1])
		time.Sleep(time.Minute)
		onceEach(t, sender.all(), "1", 2)
	})
}

// A process that was frozen between choosing and sending must not send what another has told meanwhile.
func TestAFrozenProcessDoesNotSendLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		frozen := make(chan struct{})
		cut := &mortal{Deliveries: store, memory: store}
		cut.die = func(call string) {
			if call == "after freeze" && !cut.dead.Swap(true) {
				close(frozen)
				time.Sleep(20 * time.Second)
				cut.dead.Store(false)
			}
		}
		store.commit(downs(1)...)
		start(t, "a", cut, sender, "1")
		<-frozen
		start(t, "b", store, sender, "1")
		time.Sleep(time.Minute)
		onceEach(t, sender.all(), "1", 1)
	})
}

// The note of an accepted message fails: the note is repeated, not the message.
func TestAFailedNoteIsNotAnotherMessage(t *testing.T) {
	for name, committed := range map[string]bool{"not committed": false, "committed, answer lost": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, sender := newMemory(), newScript(nil)
				failures := 0
				store.fail = func(call string, done bool) error {
					if call == "Told" && done == committed && failures < 5 {
						failures++
						return nodestore.ErrUnavailable
					}
					return nil
				}
				store.commit(downs(2)...)
				start(t, "a", store, sender, "1")
				time.Sleep(5 * time.Minute)
				onceEach(t, sender.all(), "1", 2)
				if store.told("1") != 2 || failures == 0 {
					t.Errorf("%d told after %d failures", store.told("1"), failures)
				}
			})
		})
	}
}

// The lease was lost between Telegram's acceptance and the note of it, and comes back to the same process.
func TestAcceptanceIsRememberedAcrossTenures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		fenced := false
		store.fail = func(call string, done bool) error {
			if call == "Told" && !done && !fenced {
				fenced = true
				return nodestore.ErrFenced
			}
			return nil
		}
		store.commit(downs(1)...)
		start(t, "a", store, sender, "1")
		time.Sleep(time.Minute)
		onceEach(t, sender.all(), "1", 1)
		if store.told("1") != 1 {
			t.Error("never noted")
		}
	})
}

// What one process knows of a frozen notification is worth nothing once another has held the chat: it may have sent it.
func TestWhatAnotherMayHaveSentIsNotWordedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		a, b := &mortal{Deliveries: store, memory: store}, &mortal{Deliveries: store, memory: store}
		var refusing atomic.Bool
		refusing.Store(true)
		a.die = func(call string) {
			if call == "failed" && a.dead.Load() {
				_ = store.Failed(t.Context(), nodestore.ChatLease{Chat: "1", Owner: "a", Term: 1}, 1, "wait") // the note arrives
			}
		}
		start(t, "a", a, senderFunc(func(ctx context.Context, chat, html string, reply int64) (int64, error) {
			if refusing.Load() {
				a.dead.Store(true)
				return 0, &telegram.Error{Words: "wait", RetryAfter: time.Second}
			}
			return sender.Send(ctx, chat, html, reply)
		}), "1")
		store.commit(downs(1)...)
		synctest.Wait()
		b.die = func(call string) {
			if call == "before told" {
				b.dead.Store(true)
			}
		}
		second := start(t, "b", b, sender, "1")
		<-sender.accepted
		second.stop()
		refusing.Store(false)
		a.dead.Store(false)
		store.commit(downs(2)[1])
		time.Sleep(time.Minute)
		all := sender.all()
		if len(all) != 3 || all[0].html != all[1].html {
			t.Errorf("what b sent was not repeated as it was: %v", all)
		}
		onceEach(t, all[1:], "1", 2)
	})
}

// A process that comes back to a chat keeps the pace of what another has sent meanwhile.
func TestThePaceOfAnotherIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		a := &mortal{Deliveries: store, memory: store}
		start(t, "a", a, sender, "1")
		store.commit(downs(1)...)
		<-sender.accepted
		synctest.Wait()
		a.dead.Store(true)
		b := start(t, "b", store, sender, "1")
		time.Sleep(30 * time.Second)
		store.commit(downs(26)[1:]...)
		told := (<-sender.accepted).at
		synctest.Wait()
		b.stop()
		a.dead.Store(false)
		store.commit(downs(27)[26])
		if next := <-sender.accepted; next.at.Sub(told) < 15*time.Second {
			t.Errorf("the next message after %v, want 15 s: much was told just before", next.at.Sub(told))
		}
	})
}

func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, sender := newMemory(), newScript(nil)
		var away atomic.Bool
		store.fail = func(string, bool) error {
			if away.Load() {
				return nodestore.ErrUnavailable
			}
			return nil
		}
		s := start(t, "a", store, sender, "1")
		store.commit(downs(1)...)
		<-sender.accepted
		synctest.Wait()
		away.Store(true)
		time.Sleep(time.Hour)
		if err := problems(t, s); err == nil {
			t.Error("ready without a database")
		}
		store.commit(downs(2)[1])
		away.Store(false)
		back := time.Now()
		if m := <-sender.accepted; m.at.Sub(back) > time.Minute {
			t.Errorf("told %v after the database was back", m.at.Sub(back))
		}
		synctest.Wait()
		onceEach(t, sender.all(), "1", 2)
		if n := s.log.count(`"level":"error"`); n != 1 {
			t.Errorf("%d error lines for one outage", n)
		}
		if err := problems(t, s); err != nil {
			t.Errorf("not ready afterwards: %v", err)
		}
	})
}
