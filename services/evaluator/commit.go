package evaluator

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// commitWhenDue commits at once when a state changed, and else when there is enough, or as often as Pace says.
func (o *owner) commitWhenDue(ctx context.Context) error {
	if !o.uncommitted() {
		return nil
	}
	age := o.Now().Sub(o.committing)
	waiting := o.fold.Dirty()
	dirty := waiting > 0 && age >= o.Pace.Commit || waiting >= cmp.Or(o.Pace.Rows, maxDirty)
	if o.fold.Changed() || dirty || age >= o.Pace.Idle {
		return o.commit(ctx)
	}
	return nil
}

// last commits what is folded when the evaluator is asked to stop: the next one need not replay it.
func (o *owner) last(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, nodestore.ErrFenced) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return o.commit(ctx)
}

// uncommitted reports whether a message was folded since the last commit. A torn fold waits for its next message.
func (o *owner) uncommitted() bool {
	return !o.fold.Torn() && !same(o.fold.Position(), o.committed)
}

// commit stores what was folded. When the answer is lost it asks the database what became of it. It returns only
// when that is certain, ErrFenced when the fold in memory is worth nothing any more, or when ctx ends.
func (o *owner) commit(ctx context.Context) error {
	if !o.uncommitted() {
		return nil
	}
	began := o.Now()
	changes := o.fold.Take()
	crashpoint.Here("evaluator.commit")
	for limit := o.commitLimit(changes); ; limit = min(2*limit, maxCommitLimit) {
		err := o.tryCommit(ctx, changes, limit)
		if err == nil {
			o.metrics.commit.Observe(o.Now().Sub(began).Seconds())
			break
		}
		if errors.Is(err, nodestore.ErrFenced) {
			return err
		}
		o.metrics.commitErrors.Inc()
		done, err := o.settle(ctx, changes.Clock.Position)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	crashpoint.Here("evaluator.committed")
	o.databaseWorks(callCommit) // also when the answer was lost
	o.health.set(partVersion, nil)
	o.committed, o.committing = changes.Clock.Position, o.Now()
	for _, a := range announcements(changes.Events, o.traces.committed(changes, began)) {
		o.say(a) // first of all: people wait for it
	}
	o.sample(changes)
	o.metrics.committed(o.fold, changes)
	return nil
}

// maxCommitLimit bounds a commit of everything there is, on a slow disk.
const maxCommitLimit = 10 * time.Minute

// commitLimit is how long a commit may take at first: one message may make every node lost, and it is one commit.
func (o *owner) commitLimit(c node.Changes) time.Duration {
	const row = 200 * time.Microsecond
	return o.Pace.CallLimit + time.Duration(c.Len()+len(c.Events))*row
}

func (o *owner) tryCommit(ctx context.Context, changes node.Changes, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return o.Store.Commit(ctx, o.lease, o.committed, changes)
}

// settle finds out whether a commit that failed was stored all the same. It asks until the database answers.
func (o *owner) settle(ctx context.Context, to node.Position) (done bool, err error) {
	for {
		if !sleep(ctx, o.Pace.Retry) {
			return false, ctx.Err()
		}
		call, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
		term, at, err := o.Store.Committed(call, o.Partition)
		cancel()
		switch {
		case err != nil: // asked again
		case term != o.lease.Term:
			return false, nodestore.ErrFenced
		case same(at, to):
			return true, nil
		case same(at, o.committed):
			return false, nil
		default:
			return false, nodestore.ErrFenced
		}
	}
}

func same(a, b node.Position) bool { return a.Epoch == b.Epoch && a.Seq == b.Seq }

// pruneEvery is how often old history is deleted.
const pruneEvery = time.Hour

// prune deletes old history, a little at a time.
func (o *owner) prune(ctx context.Context) {
	for sleep(ctx, pruneEvery) {
		o.pruneAll(ctx)
	}
}

// pruneAll deletes what is older than it is to be kept. Events for which no time is set are kept for ever, samples not
// at all.
func (o *owner) pruneAll(ctx context.Context) {
	const day, limit = 24 * time.Hour, 1000
	if o.HistoryDays > 0 {
		o.pruneOld(ctx, "old history", limit, func() (int, error) {
			return o.Store.Prune(ctx, o.lease, time.Duration(o.HistoryDays)*day, limit)
		})
	}
	o.pruneOld(ctx, "old samples", limit, func() (int, error) {
		return o.Store.PruneSamples(ctx, time.Duration(o.SamplesDays)*day, limit)
	})
}

// pruneOld calls prune until less than the limit was left to delete.
func (o *owner) pruneOld(ctx context.Context, what string, limit int, prune func() (int, error)) {
	for {
		n, err := prune()
		if err != nil && ctx.Err() == nil {
			o.Log.Warn().Err(err).Msg(what + " could not be deleted")
		}
		if err != nil || n < limit {
			return
		}
	}
}
