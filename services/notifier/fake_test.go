package notifier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// memory is Deliveries in memory, with the semantics that the contract demands: leases that are released or taken
// over as they were seen, terms that fence, one frozen notification a chat.
type memory struct {
	nodestore.Deliveries // of what it does not have
	mu                   sync.Mutex
	events               []nodestore.StoredEvent
	chats                map[string]*memoryChat
	lastID               int64
	flow                 nodestore.Flow
	// fail, when set, may fail a call before or after it took effect; the result replaces a nil error.
	fail func(call string, done bool) error
}

type memoryChat struct {
	owner string
	term  int64
	// renewed is 0 when nobody holds the lease.
	renewed, lastRenewed int64
	retired              bool
	cursor               int
	rows                 []*memoryRow
	frozen               *nodestore.Notification
	told                 []memoryTold
}

type memoryRow struct {
	alert        nodestore.Alert
	notification int64
	told         bool
}

type memoryTold struct {
	notification, message int64
	alerts                []string
	at                    time.Time
}

func newMemory() *memory { return &memory{chats: make(map[string]*memoryChat)} }

// commit is what an evaluator does.
func (m *memory) commit(events ...node.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		e.ID = node.EventID{Epoch: 1, Seq: uint64(len(m.events) + 1)}
		if e.At == 0 {
			e.At = node.Stamp(time.Now().UnixNano())
		}
		m.events = append(m.events, nodestore.StoredEvent{Event: e, Found: time.Now().UTC()})
	}
}

// told counts how many alerts of a chat are recorded as told.
func (m *memory) told(chat string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.chat(chat).rows {
		if r.told {
			n++
		}
	}
	return n
}

func (m *memory) chat(name string) *memoryChat {
	if m.chats[name] == nil {
		m.chats[name] = &memoryChat{}
	}
	return m.chats[name]
}

// do runs one call under the lease.
func (m *memory) do(ctx context.Context, call string, l nodestore.ChatLease, f func(c *memoryChat) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.injected(call, false); err != nil {
		return err
	}
	m.mu.Lock()
	c := m.chat(l.Chat)
	err := nodestore.ErrFenced
	if c.owner == l.Owner && c.term == l.Term {
		err = f(c)
	}
	m.mu.Unlock()
	if err == nil {
		err = m.injected(call, true)
	}
	return err
}

func (m *memory) injected(call string, done bool) error {
	m.mu.Lock()
	f := m.fail
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(call, done)
}

func (m *memory) AcquireChat(ctx context.Context, chat, owner string, ttl, lookback time.Duration) (nodestore.ChatLease, error) {
	if err := errors.Join(ctx.Err(), m.injected("AcquireChat", false)); err != nil {
		return nodestore.ChatLease{}, err
	}
	m.mu.Lock()
	first := m.chats[chat] == nil
	c := m.chat(chat)
	if c.owner != owner && c.renewed != 0 {
		defer m.mu.Unlock()
		return nodestore.ChatLease{Chat: chat, Owner: c.owner, Term: c.term, Renewed: c.renewed}, nodestore.ErrHeld
	}
	if first {
		for c.cursor < len(m.events) && time.Since(m.events[c.cursor].Found) > lookback {
			c.cursor++
		}
	}
	l := m.grant(c, chat, owner)
	m.mu.Unlock()
	return l, m.injected("AcquireChat", true)
}

// grant gives a chat to an owner.
func (m *memory) grant(c *memoryChat, chat, owner string) nodestore.ChatLease {
	c.owner, c.retired = owner, false
	c.term++
	c.renew()
	return nodestore.ChatLease{Chat: chat, Owner: owner, Term: c.term}
}

func (c *memoryChat) renew() {
	c.lastRenewed++
	c.renewed = c.lastRenewed
}

func (m *memory) TakeOverChat(ctx context.Context, seen nodestore.ChatLease, owner string, _ time.Duration) (nodestore.ChatLease, error) {
	if err := errors.Join(ctx.Err(), m.injected("TakeOverChat", false)); err != nil {
		return nodestore.ChatLease{}, err
	}
	m.mu.Lock()
	c := m.chat(seen.Chat)
	if c.term != seen.Term || c.renewed != seen.Renewed {
		defer m.mu.Unlock()
		return nodestore.ChatLease{}, nodestore.ErrHeld
	}
	l := m.grant(c, seen.Chat, owner)
	m.mu.Unlock()
	return l, m.injected("TakeOverChat", true)
}

func (m *memory) ChatLeases(ctx context.Context) ([]nodestore.ChatLease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []nodestore.ChatLease
	for _, name := range slices.Sorted(maps.Keys(m.chats)) {
		if c := m.chats[name]; !c.retired {
			out = append(out, nodestore.ChatLease{Chat: name, Owner: c.owner, Term: c.term, Renewed: c.renewed})
		}
	}
	return out, ctx.Err()
}

func (m *memory) RetireChat(ctx context.Context, seen nodestore.ChatLease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chat(seen.Chat)
	if c.term != seen.Term || c.renewed != seen.Renewed || c.retired {
		return nodestore.ErrHeld
	}
	c.retired, c.renewed = true, 0
	c.term++
	return ctx.Err()
}

func (m *memory) Flow(ctx context.Context, _ int) (nodestore.Flow, error) {
	if err := errors.Join(ctx.Err(), m.injected("Flow", false)); err != nil {
		return nodestore.Flow{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flow, nil
}

func (m *memory) RenewChat(ctx context.Context, l nodestore.ChatLease, _ time.Duration) error {
	return m.do(ctx, "RenewChat", l, func(c *memoryChat) error {
		c.renew()
		return nil
	})
}

func (m *memory) ReleaseChat(ctx context.Context, l nodestore.ChatLease) error {
	return m.do(ctx, "ReleaseChat", l, func(c *memoryChat) error {
		c.renewed = 0
		return nil
	})
}

// Collect holds nothing: silences and flapping are tested on a real store.
func (m *memory) Collect(ctx context.Context, l nodestore.ChatLease, limit int, choose nodestore.Chooser) (n int, err error) {
	err = m.do(ctx, "Collect", l, func(c *memoryChat) error {
		var cs []nodestore.Candidate
		for ; n < limit && c.cursor < len(m.events); n++ {
			if e := m.events[c.cursor]; !e.Quiet {
				cs = append(cs, nodestore.Candidate{StoredEvent: e})
			}
			c.cursor++
		}
		for i, choice := range choose.Choose(nil, cs) {
			if !choice.Skip {
				e := cs[i].StoredEvent
				c.rows = append(c.rows, &memoryRow{alert: nodestore.Alert{ID: e.ID.String(), StoredEvent: e}})
			}
		}
		return nil
	})
	return n, err
}

func (m *memory) Silences(context.Context, time.Time) ([]nodestore.Silence, error) { return nil, nil }

func (m *memory) Held(context.Context, nodestore.ChatLease, string, string, node.Stamp, node.Stamp, int) ([]nodestore.Held, error) {
	return nil, nil
}

func (m *memory) Burdens(ctx context.Context, l nodestore.ChatLease, within time.Duration) (out []nodestore.Burden, err error) {
	err = m.do(ctx, "Burdens", l, func(c *memoryChat) error {
		for _, t := range c.told {
			if ago := time.Since(t.at); ago < within {
				out = append(out, nodestore.Burden{Ago: ago, Alerts: len(t.alerts), Failures: c.failuresIn(t.notification)})
			}
		}
		return nil
	})
	return out, err
}

func (m *memory) LostSince(context.Context, node.Stamp) (lost, all int, err error) { return 0, 0, nil }

func (m *memory) Frozen(ctx context.Context, l nodestore.ChatLease) (n *nodestore.Notification, err error) {
	err = m.do(ctx, "Frozen", l, func(c *memoryChat) error {
		if c.frozen != nil {
			n = new(*c.frozen)
		}
		return nil
	})
	return n, err
}

func (m *memory) Waiting(ctx context.Context, l nodestore.ChatLease, limit int) (out []nodestore.Alert, err error) {
	err = m.do(ctx, "Waiting", l, func(c *memoryChat) error {
		for _, r := range c.rows {
			if r.notification == 0 && len(out) < limit {
				a := r.alert
				if a.ReplyTo = c.failureOf(a); a.ReplyTo != 0 {
					a.Known = node.Down
				}
				out = append(out, a)
			}
		}
		return nil
	})
	return out, err
}

// failuresIn a notification.
func (c *memoryChat) failuresIn(notification int64) (n int) {
	for _, r := range c.rows {
		if r.notification == notification && failure(r.alert.Kind, r.alert.To) {
			n++
		}
	}
	return n
}

// failureOf finds the message that told the failure which a recovery ends.
func (c *memoryChat) failureOf(a nodestore.Alert) int64 {
	for _, t := range slices.Backward(c.told) {
		for _, r := range c.rows {
			if r.notification == t.notification && r.alert.NodeID == a.NodeID && r.alert.To != node.Up {
				return t.message
			}
		}
	}
	return 0
}

func (m *memory) Freeze(ctx context.Context, l nodestore.ChatLease, d nodestore.Draft) (n nodestore.Notification, err error) {
	err = m.do(ctx, "Freeze", l, func(c *memoryChat) error {
		if c.frozen != nil {
			return errors.New("a notification is frozen already")
		}
		m.lastID++
		n = nodestore.Notification{ID: m.lastID, Chat: l.Chat, Text: d.Text, ReplyTo: d.ReplyTo, Alerts: d.Alerts}
		bound := 0
		for _, r := range c.rows {
			if r.notification == 0 && r.alert.Event.ID.Seq <= d.Last.Seq {
				r.notification = n.ID
				bound++
			}
		}
		if bound != d.Alerts {
			return fmt.Errorf("%d alerts were free, not %d", bound, d.Alerts)
		}
		c.frozen = new(n)
		return nil
	})
	return n, err
}

func (m *memory) Thaw(ctx context.Context, l nodestore.ChatLease, notification int64) error {
	return m.do(ctx, "Thaw", l, func(c *memoryChat) error {
		if c.frozen == nil || c.frozen.ID != notification {
			return errors.New("not the frozen notification")
		}
		c.frozen = nil
		for _, r := range c.rows {
			if r.notification == notification {
				r.notification = 0
			}
		}
		return nil
	})
}

func (m *memory) Told(ctx context.Context, l nodestore.ChatLease, notification, messageID int64) error {
	return m.do(ctx, "Told", l, func(c *memoryChat) error {
		if c.frozen == nil || c.frozen.ID != notification {
			return errors.New("not the frozen notification")
		}
		c.frozen = nil
		t := memoryTold{notification: notification, message: messageID, at: time.Now()}
		for _, r := range c.rows {
			if r.notification == notification {
				r.told = true
				t.alerts = append(t.alerts, r.alert.ID)
			}
		}
		c.told = append(c.told, t)
		return nil
	})
}

func (m *memory) Failed(ctx context.Context, l nodestore.ChatLease, notification int64, reason string) error {
	return m.do(ctx, "Failed", l, func(c *memoryChat) error {
		if c.frozen == nil || c.frozen.ID != notification || reason == "" {
			return errors.New("not the frozen notification, or no reason")
		}
		c.frozen.Attempts++
		return nil
	})
}

// script is a Sender in memory. Its answer decides about each call; nil accepts all.
type script struct {
	mu       sync.Mutex
	answer   func(call int, chat, html string) error // call counts from 1
	calls    int
	messages []sent
	accepted chan sent // one for each accepted message
}

type sent struct {
	chat, html string
	replyTo    int64
	at         time.Time
}

func newScript(answer func(call int, chat, html string) error) *script {
	return &script{answer: answer, accepted: make(chan sent, 1000)}
}

func (s *script) Send(ctx context.Context, chat, html string, replyTo int64) (int64, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(call, chat, html); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := sent{chat: chat, html: html, replyTo: replyTo, at: time.Now()}
	s.messages = append(s.messages, m)
	s.accepted <- m
	return int64(len(s.messages)), nil
}

func (s *script) all() []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}
