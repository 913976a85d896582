package notifier

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/lease"
)

const (
	// collectLimit is how many events one transaction passes, and collectFirst how many the first of several.
	collectLimit = 5000
	collectFirst = 500
	// collectFor is how long events are collected before what is there is told: of a hundred thousand at once the first
	// message tells a part, and how many there are in all, and the second the rest.
	collectFor = 100 * time.Millisecond
	// loadLimit is how many waiting alerts are loaded; more are counted by the store.
	loadLimit = 1000
)

// teller tells one chat during one tenure.
type teller struct {
	*chat
	lease    nodestore.ChatLease
	fresh    func() bool // whether the lease still lasts
	alone    bool        // nobody else told the chat since this process did
	silences silences
	sweeper
	looked time.Time // when nobody was to be reminded of
	summed string    // the last day that was summed up
}

// tell goes round until ctx ends or the store fails: collect, try, wait. Nothing but the attempt itself takes long,
// so events go on being collected, and grouped, while Telegram is away.
func (t *teller) tell(ctx context.Context) error {
	if err := t.recall(ctx); err != nil {
		return err
	}
	more := false
	for ctx.Err() == nil {
		var err error
		if more, err = t.collect(ctx, more); err != nil {
			return err
		}
		if err := t.sweep(ctx); err != nil {
			return err
		}
		wait, err := t.try(ctx)
		if err != nil {
			return err
		}
		t.can()
		if wait > 0 && !more {
			t.rest(ctx, min(wait, t.o.Timing.Poll))
		}
	}
	return nil
}

// recall takes over the pace from whoever told the chat before. What this process sent itself it knows already.
func (t *teller) recall(ctx context.Context) error {
	if t.alone {
		t.term = t.lease.Term
		return nil
	}
	told, err := t.o.Store.Burdens(ctx, t.lease, time.Minute)
	if err != nil {
		return err
	}
	now, known := t.o.Now(), t.load.last()
	for _, b := range told {
		at := now.Add(-b.Ago)
		if !at.After(known) {
			continue
		}
		t.pace.remember(at)
		t.load.add(burden{at, b.Alerts, b.Failures})
	}
	t.term = t.lease.Term
	return nil
}

// collect decides about new events, and reports whether there may be more. goesOn says that it stopped so before.
func (t *teller) collect(ctx context.Context, goesOn bool) (more bool, err error) {
	if more, err = t.decide(ctx, goesOn); err != nil {
		return false, err
	}
	// Read afterwards: what is held by a silence that began meanwhile would be freed by who does not know of that.
	t.silences, err = t.o.Store.Silences(ctx, t.o.Now())
	return more, err
}

// decide stops when it takes long, so that the first of many is told soon.
func (t *teller) decide(ctx context.Context, goesOn bool) (more bool, err error) {
	began := t.o.Now()
	chooser := nodestore.Chooser{Quiet: began.Add(-remembered), Choose: t.choose}
	limit := collectFirst
	if goesOn {
		limit = collectLimit
	}
	for ; ; limit = collectLimit {
		n, err := t.o.Store.Collect(ctx, t.lease, limit, chooser)
		if err != nil || n == 0 {
			return false, err
		}
		crashpoint.Here("notifier.collected")
		if n < limit { // what is committed from here on wakes the teller again
			return false, nil
		}
		if t.o.Now().Sub(began) >= collectFor {
			return true, nil
		}
	}
}

// choose decides about events for the store.
func (t *teller) choose(all []nodestore.Silence, events []nodestore.Candidate) []nodestore.Choice {
	now := t.o.Now()
	out := choose(t.audience, all, now, events)
	active := silences(all).now(now)
	for i, c := range out {
		if c.Held == nodestore.Silenced && !active.of(events[i].NodeID, events[i].Meta) {
			t.again() // it is over already
		}
		if !c.Skip && c.Held == "" {
			t.pressing = t.pressing || failure(events[i].Kind, events[i].To)
			t.monitor = t.monitor || events[i].NodeID == ""
		}
	}
	return out
}

// try makes one attempt at one message, if one is due and the pace allows it. It returns how long to wait before
// the next look; 0 for none.
func (t *teller) try(ctx context.Context) (time.Duration, error) {
	n, err := t.o.Store.Frozen(ctx, t.lease)
	if err != nil {
		return 0, err
	}
	if a := t.accepted; a != nil {
		if a.is(n) {
			return 0, t.told(ctx, a)
		}
		t.succeeded() // the note of it arrived, though its answer did not
	}
	now := t.o.Now()
	if now.Before(t.next) {
		return t.next.Sub(now), nil
	}
	if n != nil && t.unsent.certain(n) && n.Attempts > 0 {
		if n, err = t.thaw(ctx, n); err != nil {
			return 0, err
		}
	}
	if n != nil {
		return t.paced(true, func() error { return t.attempt(ctx, *n) })
	}
	wait := t.load.wait(now, t.pressing)
	if wait > 0 && !t.monitor { // what waits is not looked at before its time: it may be very much
		return wait, nil
	}
	alerts, err := t.o.Store.Waiting(ctx, t.lease, loadLimit+1)
	if err != nil {
		return 0, err
	}
	if len(alerts) <= loadLimit {
		t.monitor = slices.ContainsFunc(alerts, ofMonitor)
	}
	if wait > 0 && !t.monitor {
		return wait, nil
	}
	if len(alerts) > 0 {
		return t.paced(t.pressing || t.monitor, func() error { return t.alert(ctx, alerts) })
	}
	t.pressing = false
	return t.otherwise(ctx, now)
}

// ofMonitor reports whether an alert is about the monitor itself: a deaf one is told at once, however much was told of
// nodes just before.
func ofMonitor(a nodestore.Alert) bool { return a.NodeID == "" }

// thaw takes back a notification that reached nobody when more has happened since, so that one message tells all. It
// returns the notification if it stays as it is.
func (t *teller) thaw(ctx context.Context, n *nodestore.Notification) (*nodestore.Notification, error) {
	more, err := t.o.Store.Waiting(ctx, t.lease, 1)
	if err != nil || len(more) == 0 {
		return n, err
	}
	return nil, t.takeBack(ctx, n)
}

// takeBack makes the alerts of a notification that reached nobody wait again.
func (t *teller) takeBack(ctx context.Context, n *nodestore.Notification) error {
	t.thawed, t.monitor = true, true
	t.pressing = t.pressing || t.failuresIn(n) > 0
	return t.o.Store.Thaw(ctx, t.lease, n.ID)
}

// paced does something that sends a message, or returns how long the chat's pace asks to wait.
func (t *teller) paced(urgent bool, send func() error) (time.Duration, error) {
	if wait := t.pace.take(t.o.Now(), urgent); wait > 0 {
		return wait, nil
	}
	return 0, send()
}

// attempt sends a frozen notification once and notes how it went.
func (t *teller) attempt(ctx context.Context, n nodestore.Notification) error {
	t.waitingSince()
	crashpoint.Here("notifier.send")
	certain := t.unsent.certain(&n)
	t.unsent = unsent{} // until it is known how it went
	sctx, traced := t.traced(ctx, n)
	id, err := t.send(sctx, n)
	traced.end(id, err)
	if err == nil {
		crashpoint.Here("notifier.accepted")
		t.accepted = &accepted{notification: n.ID, message: id, text: n.Text}
		t.load.add(burden{t.o.Now(), n.Alerts, t.failuresIn(&n)})
		t.metrics.alerts.WithLabelValues(t.name).Add(float64(n.Alerts))
		t.moved(ctx)
		return t.told(ctx, t.accepted)
	}
	if errors.Is(err, lease.ErrStale) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), lease.ErrStale) {
		return nil // cut off by the end, not by Telegram
	}
	crashpoint.Here("notifier.refused")
	return t.failed(ctx, n, err, certain)
}

// send gives a message on its way some time when the service stops, and all the time there is when only the lease
// could not be renewed. Its error is lease.ErrStale when the lease was over before the message left.
func (t *teller) send(ctx context.Context, n nodestore.Notification) (int64, error) {
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.o.Timing.Send)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), lease.ErrStale) {
			sleep(sctx, sendGrace)
			cancel()
		}
	})
	defer stop()
	l := leased{Context: sctx, fresh: t.fresh, expired: new(atomic.Bool)}
	if err := l.Err(); err != nil {
		return 0, err
	}
	id, err := t.deliver(l, n)
	if err != nil && l.expired.Load() {
		err = lease.ErrStale
	}
	return id, err
}

// deliver hands a notification to the sender, for where the chat is now.
func (t *teller) deliver(ctx context.Context, n nodestore.Notification) (int64, error) {
	n.Chat = cmp.Or(t.lease.MovedTo, n.Chat)
	if s, ok := t.o.Sender.(FailureSender); ok && n.NodeID != "" {
		return s.SendFailure(ctx, n)
	}
	return t.o.Sender.Send(ctx, n.Chat, n.Text, n.ReplyTo)
}

// moved notes where the chat went, if the sender has found it elsewhere. That costs nothing when it fails: the sender
// finds it again.
func (t *teller) moved(ctx context.Context) {
	m, ok := t.o.Sender.(Mover)
	if !ok {
		return
	}
	to := m.MovedTo(cmp.Or(t.lease.MovedTo, t.name))
	if to == "" || to == t.lease.MovedTo {
		return
	}
	if err := t.o.Store.MoveChat(ctx, t.lease, to); err == nil {
		t.lease.MovedTo = to
	}
}

// told notes what Telegram accepted. When that fails it is noted at the next round, rather than sent again.
func (t *teller) told(ctx context.Context, a *accepted) error {
	if a.noted {
		t.log.Warn().Int64("message", a.message).
			Msg("the database has lost the note that a message was told: noting it again")
	}
	tctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteGrace)
	defer cancel()
	if err := t.o.Store.Told(tctx, t.lease, a.notification, a.message); err != nil {
		return err
	}
	crashpoint.Here("notifier.recorded")
	t.succeeded()
	return nil
}

// succeeded is called when the store knows what Telegram accepted.
func (t *teller) succeeded() {
	if t.accepted.noted {
		return
	}
	t.accepted.noted = true
	if t.failures > 0 {
		t.log.Info().Int("attempts", t.failures+1).Msg("told at last")
	}
	t.forget()
	t.metrics.messages.WithLabelValues(t.name, resultAccepted).Inc()
}

// forget leaves behind the notification that was told, be it by another notifier meanwhile.
func (t *teller) forget() {
	t.failures, t.oldest = 0, time.Time{}
	t.status.set(func(s *facts) { s.failing, s.oldest, s.atLeast = nil, time.Time{}, false })
}

// failed notes why, and when to try again. certain says that no attempt before can have been accepted.
func (t *teller) failed(ctx context.Context, n nodestore.Notification, err error, certain bool) error {
	v := judge(err, t.failures, t.o.Timing, t.o.Random())
	if certain && refused(err) {
		t.unsent = unsent{n.ID, n.Attempts + 1}
	}
	now := t.o.Now()
	t.failures++
	t.next = now.Add(v.wait)
	news := t.status.fail(now, v)
	if news {
		t.log.Warn().Str("reason", v.words).Stringer("retry_in", v.wait.Round(time.Second)).Msg("cannot tell yet")
	}
	t.metrics.messages.WithLabelValues(t.name, v.class).Inc()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return t.o.Store.Failed(ctx, t.lease, n.ID, v.words)
}

// waitingSince notes how old the news is. Of a notification that another process froze, only that it is not new.
func (t *teller) waitingSince() {
	t.status.set(func(s *facts) {
		switch {
		case !t.oldest.IsZero():
			s.oldest, s.atLeast = t.oldest, false
		case s.oldest.IsZero():
			s.oldest, s.atLeast = t.o.Now(), true
		}
	})
}

// rest waits for d, for a wake-up, or for the end of ctx.
func (t *teller) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.wake:
	case <-ctx.Done():
	}
}
