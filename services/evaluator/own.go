package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// owner is the evaluator while it holds the lease. All it knows goes with the lease.
type owner struct {
	*Service
	lease      nodestore.Lease
	fold       *node.Fold
	committed  node.Position // as in the database
	committing time.Time     // when it was last committed
	missing    time.Time     // since when the position seems to be missing in a replicated stream
	torn       bus.Start     // where a torn fold goes on
	looked     time.Time     // when the silence was last added to, by this process's clock
	silence    time.Duration // for how long this process, awake, got no batch
	stalled    bool          // told already that none comes
	askAgain   time.Time     // when the settings may be published again
	announced  chan announcement
	samples    sampler
	traces     traces
}

// errVerify ends following the stream, to look whether it is still the same one.
var errVerify = errors.New("no message for a while")

// What one commit may hold: so many messages, and no more of them once so many nodes wait for it. When an evaluator is
// behind, a message is of hundreds of nodes, and each takes room several times over on its way to the database.
const (
	maxDrain = 512
	maxDirty = 10_000
)

// own folds until ctx ends, the lease is lost or a message cannot be understood.
func (s *Service) own(ctx context.Context, lease nodestore.Lease) error {
	crashpoint.Here("evaluator.acquired")
	owned, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o := &owner{Service: s, lease: lease, announced: make(chan announcement, 1024), samples: newSampler(), traces: newTraces(s.Tracer, s.Now)}
	done := make(chan struct{}, 4)
	for _, task := range []func(){
		func() { cancel(o.renew(owned)) },
		func() { o.announce(owned) },
		func() { o.storeSamples(owned) },
		func() { o.prune(owned) },
	} {
		go func() { task(); done <- struct{}{} }()
	}
	err := o.run(owned)
	if cause := context.Cause(owned); cause != nil && ctx.Err() == nil {
		err = cause
	}
	if errors.Is(err, errAlone) {
		s.alone = alone{since: s.Now(), silence: o.silence + s.Pace.LastResort}
	}
	cancel(nil)
	for range cap(done) {
		<-done
	}
	o.release(ctx)
	return err
}

// renew keeps the lease until it is lost, or better left to another. Its error says so.
func (o *owner) renew(ctx context.Context) error {
	var without alone
	for sleep(ctx, o.Pace.Renew) {
		if err := o.tooAlone(ctx, &without); err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
		err := o.Store.Renew(call, o.lease, o.Pace.LeaseTTL)
		cancel()
		switch {
		case errors.Is(err, nodestore.ErrFenced):
			return err
		case err == nil:
			crashpoint.Here("evaluator.renewed")
		default:
			// The term still fences every commit, and whoever takes over raises it: keep what is in memory.
		}
	}
	return nil
}

func (o *owner) release(ctx context.Context) {
	crashpoint.Here("evaluator.release")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := o.Store.Release(ctx, o.lease); err != nil {
		o.Log.Warn().Err(err).Msg("the lease could not be released: it will run out")
	}
}

// run loads the fold and follows the stream, looking for it anew whenever the reader ended.
func (o *owner) run(ctx context.Context) error {
	if err := o.load(ctx); err != nil {
		return err
	}
	crashpoint.Here("evaluator.loaded")
	o.databaseWorks(callCommit, callRecord) // whatever failed in an earlier term
	o.committed = o.fold.Position()
	o.looked, o.committing, o.silence = o.Now(), o.Now(), o.alone.silence
	o.metrics.owns(o.lease.Term, o.fold)
	for ctx.Err() == nil {
		err := o.session(ctx)
		switch {
		case errors.Is(err, contract.ErrUnknownVersion):
			o.metrics.unknownVersions.Inc()
			return errors.Join(err, o.tellOutdated(ctx, err))
		case errors.Is(err, nodestore.ErrFenced):
			return err
		case err != nil && !errors.Is(err, errVerify) && ctx.Err() == nil:
			o.broken(partNATS, err)
			sleep(ctx, o.Pace.Retry)
		}
		if err := o.checkStalled(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// load makes the fold as it is committed.
func (o *owner) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a million nodes
	defer cancel()
	nodes := node.NewLoading()
	s, err := o.Store.Load(ctx, o.lease, nodes.Add)
	if err != nil {
		return fmt.Errorf("load the fold: %w", err)
	}
	o.fold = nodes.Fold(o.Partition, s)
	return nil
}

// session finds the position in the stream and follows it from there.
func (o *owner) session(ctx context.Context) error {
	start, err := o.locate(ctx)
	if err != nil {
		return err
	}
	crashpoint.Here("evaluator.located")
	reader, err := o.consume(ctx, start)
	if err != nil {
		return err
	}
	defer reader.Stop()
	o.works(partNATS)
	o.configure(ctx)
	return o.follow(ctx, reader)
}

func (o *owner) consume(ctx context.Context, start bus.Start) (Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
	defer cancel()
	return o.Stream.Consume(ctx, o.Partition, start)
}

// configure asks for this process's settings through the stream, when the fold has others: replayed, the stream
// must give the same events whatever the configuration is by then.
func (o *owner) configure(ctx context.Context) {
	if o.fold.Settings() == o.Settings || o.Now().Before(o.askAgain) {
		return
	}
	o.askAgain = o.Now().Add(o.Pace.GiveUp)
	ctx, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
	defer cancel()
	data := encodeSettings(o.Settings, o.ID)
	if _, err := o.Stream.Publish(ctx, contract.CommandSubject(o.Partition), data); err != nil {
		o.askAgain = o.Now().Add(o.Pace.Verify)
		o.Log.Warn().Err(err).Msg("the new settings could not be published yet")
	}
}

// follow folds what the reader delivers and commits it in time.
func (o *owner) follow(ctx context.Context, r Reader) error {
	tick := time.NewTicker(o.Pace.Commit / 5)
	defer tick.Stop()
	idle := o.Now()
	for {
		select {
		case m, ok := <-r.Messages():
			if !ok {
				return cmpErr(r.Err(), errVerify)
			}
			if err := o.take(ctx, m, r); err != nil {
				return err
			}
			idle = o.Now()
		case <-tick.C:
			begun := o.Now()
			o.listen()
			o.configure(ctx)
			if err := o.commitWhenDue(ctx); err != nil {
				return err
			}
			now := o.Now()
			idle = idle.Add(now.Sub(begun)) // messages may wait: a commit takes its time
			if now.Sub(idle) >= o.Pace.Verify {
				return errVerify
			}
		case <-ctx.Done():
			return o.last(ctx)
		}
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// take folds a message and those that wait behind it, and commits at once when a state changed.
func (o *owner) take(ctx context.Context, m bus.Message, r Reader) error {
	for folded := 1; ; folded++ {
		if err := o.apply(m); err != nil {
			return errors.Join(o.commit(ctx), err)
		}
		if folded == maxDrain || o.fold.Dirty() >= maxDirty {
			break // before another is taken: it would be lost
		}
		next, ok := poll(r)
		if !ok {
			break
		}
		m = next
	}
	return o.commitWhenDue(ctx)
}

// discarded counts messages that the stream's limits took before they were folded, and says what helps.
func (o *owner) discarded(messages uint64) {
	if messages == 0 {
		return
	}
	o.metrics.discarded.Add(float64(messages))
	o.Log.Warn().Uint64("messages", messages).
		Msg("the stream discarded messages before they were folded: give it more room, or look why the evaluator or the database is slow")
}

// listen adds to the silence the time since it last looked. A process that was frozen, or waited for the database,
// was not listening: what it finds on waking counts for a second at most.
func (o *owner) listen() {
	now := o.Now()
	o.silence += min(now.Sub(o.looked), time.Second)
	o.looked = now
}

// heard ends the silence. Commands do not: they come from the page. Nor does an ingest that does not know whether it
// can be heard.
func (o *owner) heard() {
	o.looked, o.silence, o.stalled = o.Now(), 0, false
	o.works(partStream)
	o.works(partStorage)
}

// poll takes a message that is there already.
func poll(r Reader) (bus.Message, bool) {
	select {
	case m, ok := <-r.Messages():
		return m, ok
	default:
		return bus.Message{}, false
	}
}

// apply folds one message. ErrUnknownVersion means it must be left to a newer program.
func (o *owner) apply(m bus.Message) error {
	p := o.fold.Position()
	if m.Seq <= p.Seq && p.Stamp != 0 {
		return nil // delivered twice
	}
	crashpoint.Here("evaluator.received")
	begun := o.traces.begin()
	folded, err := translate(m)
	if errors.Is(err, contract.ErrUnknownVersion) {
		return fmt.Errorf("message %d: %w", m.Seq, err)
	}
	if err != nil {
		o.metrics.malformed.Inc()
		o.Log.Warn().Err(err).Uint64("seq", m.Seq).Msg("message skipped: it cannot be read")
	}
	if p.Seq != 0 {
		o.discarded(m.Seq - p.Seq - 1)
	}
	o.fold.Apply(folded)
	o.traces.folded(m, folded, o.fold.Position(), begun)
	crashpoint.Here("evaluator.folded")
	o.metrics.folded(folded, m.Pending)
	if !m.Command && !folded.Unsure {
		o.heard()
	}
	return nil
}
