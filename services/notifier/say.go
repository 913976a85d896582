package notifier

import (
	"context"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// otherwise tells what is told when no alert waits: reminders, then the daily summary.
func (t *teller) otherwise(ctx context.Context, now time.Time) (time.Duration, error) {
	if len(t.o.Reminders) > 0 && !now.Before(t.looked.Add(t.o.Timing.Remind)) {
		r, err := t.still(ctx, now)
		if err != nil {
			return 0, err
		}
		if len(r.reminders) > 0 {
			return t.paced(false, func() error { return t.begin(ctx, Telling{At: stampOf(now), Still: &r.Still}, r.draft, now) })
		}
		t.looked = now
	}
	day := t.o.DailySummary.day(now, t.o.Location)
	if day == "" || day == t.summed {
		t.forget()
		return t.o.Timing.Poll, nil
	}
	return t.sumUp(ctx, day, now)
}

// sumUp tells how the nodes did, once a day.
func (t *teller) sumUp(ctx context.Context, day string, now time.Time) (time.Duration, error) {
	done, err := t.o.Store.Summed(ctx, t.lease, day)
	if err != nil || done {
		t.summed = day
		return 0, err
	}
	s, err := summarize(ctx, t.o.Store, t.audience, now)
	if err != nil {
		return 0, err
	}
	if len(s.Counts) == 0 {
		t.summed = day
		return 0, nil
	}
	return t.paced(false, func() error {
		return t.begin(ctx, Telling{At: stampOf(now), Summary: &s}, func(text string) nodestore.Draft {
			return nodestore.Draft{Text: text, Summary: day}
		}, now)
	})
}

// alert tells all that waits, be it too much to be loaded.
func (t *teller) alert(ctx context.Context, alerts []nodestore.Alert) error {
	telling := gather(alerts, stampOf(t.o.Now()))
	if len(alerts) > loadLimit {
		d, err := t.o.Store.Digest(ctx, t.lease, digestReasons, digestNames)
		if err != nil {
			return err
		}
		telling = Telling{At: telling.At, Digest: &d}
	}
	if newlyLost(telling.Digest.Counts) >= suspectLost {
		since := telling.Digest.To - node.Stamp(suspectWithin)
		var err error
		if telling.Lost, telling.Nodes, err = t.o.Store.LostSince(ctx, since); err != nil {
			return err
		}
	}
	return t.begin(ctx, telling, func(text string) nodestore.Draft { return draftOf(telling, text) }, telling.Digest.Oldest)
}

// begin words what to say next and freezes it. From here on it is said exactly so.
func (t *teller) begin(ctx context.Context, telling Telling, draft func(text string) nodestore.Draft, oldest time.Time) error {
	text, err := t.render(telling)
	if err != nil {
		return err
	}
	d := draft(text)
	if !t.thawed { // else it is one more attempt
		t.forget()
	}
	t.thawed, t.oldest = false, oldest
	crashpoint.Here("notifier.freeze")
	n, err := t.o.Store.Freeze(ctx, t.lease, d)
	if err != nil {
		return err
	}
	crashpoint.Here("notifier.frozen")
	t.unsent = unsent{notification: n.ID}
	t.pressing, t.monitor = false, false
	t.frozen = frozen{notification: n.ID}
	if telling.Digest != nil {
		t.frozen.failures = inFailure(telling.Digest.Counts)
	}
	return t.attempt(ctx, n)
}
