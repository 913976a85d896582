package notifier

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/webhook"
)

// collectLimit is how many events one transaction passes.
const collectLimit = 500

// teller tells one chat during one tenure.
type teller struct {
	*chat
	lease nodestore.ChatLease
	fresh func() bool // whether the lease still lasts
}

// tell goes round until ctx ends or the store fails: collect, try, wait. Nothing but the attempt itself takes long,
// so events go on being collected, and grouped, while Telegram is away.
func (t *teller) tell(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := t.collect(ctx); err != nil {
			return err
		}
		wait, err := t.try(ctx)
		if err != nil {
			return err
		}
		t.can()
		if wait > 0 {
			t.rest(ctx, min(wait, t.o.Timing.Poll))
		}
	}
	return nil
}

func (t *teller) collect(ctx context.Context) error {
	for {
		n, err := t.o.Store.Collect(ctx, t.lease, collectLimit,
			func(cs []nodestore.Candidate) []nodestore.Choice { return make([]nodestore.Choice, len(cs)) })
		if err != nil || n == 0 {
			return err
		}
		crashpoint.Here("notifier.collected")
	}
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
	if now := t.o.Now(); now.Before(t.next) {
		return t.next.Sub(now), nil
	}
	if n != nil {
		return t.paced(func() error { return t.attempt(ctx, *n) })
	}
	waiting, err := t.o.Store.Waiting(ctx, t.lease, maxAlerts)
	if err != nil {
		return 0, err
	}
	if len(waiting) == 0 {
		t.forget()
		return t.o.Timing.Poll, nil
	}
	return t.paced(func() error { return t.begin(ctx, waiting) })
}

// paced does something that sends a message, or returns how long the chat's pace asks to wait.
func (t *teller) paced(send func() error) (time.Duration, error) {
	if wait := t.pace.take(t.o.Now()); wait > 0 {
		return wait, nil
	}
	return 0, send()
}

// begin chooses what to say next and freezes it. From here on it is said exactly so.
func (t *teller) begin(ctx context.Context, waiting []nodestore.Alert) error {
	d := compose(waiting, t.render.render)
	if t.name == webhook.Chat {
		var err error
		if d, err = composeHook(waiting, t.o.Now(), t.o.PublicURL); err != nil {
			return err
		}
	}
	t.forget()
	t.oldest = d.oldest
	crashpoint.Here("notifier.freeze")
	n, err := t.o.Store.Freeze(ctx, t.lease, nodestore.Draft{
		Text: d.text, ReplyTo: d.replyTo, Alerts: len(d.alerts), Last: waiting[len(d.alerts)-1].Event.ID,
	})
	if err != nil {
		return err
	}
	crashpoint.Here("notifier.frozen")
	t.metrics.alerts.WithLabelValues(t.name).Add(float64(len(d.alerts)))
	return t.attempt(ctx, n)
}

// attempt sends a frozen notification once and notes how it went.
func (t *teller) attempt(ctx context.Context, n nodestore.Notification) error {
	t.waitingSince()
	crashpoint.Here("notifier.send")
	id, err := t.send(ctx, n)
	if err == nil {
		crashpoint.Here("notifier.accepted")
		t.accepted = &accepted{notification: n.ID, message: id, text: n.Text}
		return t.told(ctx, t.accepted)
	}
	if errors.Is(err, errStale) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStale) {
		return nil // cut off by the end, not by Telegram
	}
	crashpoint.Here("notifier.refused")
	return t.failed(ctx, n, err)
}

// send gives a message on its way some time when the service stops, and all the time there is when only the lease
// could not be renewed. Its error is errStale when the lease was over before the message left.
func (t *teller) send(ctx context.Context, n nodestore.Notification) (int64, error) {
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.o.Timing.Send)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), errStale) {
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
		err = errStale
	}
	return id, err
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
	t.metrics.messages.WithLabelValues(t.name, "accepted").Inc()
}

// forget leaves behind the notification that was told, be it by another notifier meanwhile.
func (t *teller) forget() {
	t.failures, t.oldest = 0, time.Time{}
	t.status.set(func(s *facts) { s.failing, s.oldest, s.atLeast = nil, time.Time{}, false })
}

// failed notes why, and when to try again.
func (t *teller) failed(ctx context.Context, n nodestore.Notification, err error) error {
	v := judge(err, t.failures, t.o.Timing, t.o.Random())
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
