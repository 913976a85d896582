package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// errUnsettled means that a replicated stream seems to lack the end of what was folded, for too short a time to be believed.
var errUnsettled = errors.New("its replicas may still be coming back")

// locate finds where to go on. When the message at the position is not there, or has another stamp, the stream is
// not the one that was folded: a new epoch begins, and the time between is a blind span.
func (o *owner) locate(ctx context.Context) (bus.Start, error) {
	// What was folded of a stream that may be gone by now exists nowhere else.
	if err := o.commit(ctx); err != nil {
		return bus.Start{}, err
	}
	start, err := o.find(ctx)
	if !errors.Is(err, errUnsettled) {
		o.missing = time.Time{} // only looks without a break between them show that it is missing
	}
	return start, err
}

func (o *owner) find(ctx context.Context) (bus.Start, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
	defer cancel()
	info, err := o.stream(ctx)
	if err != nil {
		return bus.Start{}, err
	}
	created := node.Stamp(info.Created.UnixNano())
	switch p := o.fold.Position(); {
	case p.Created == 0 && p.Seq == 0: // an empty store
		o.fold.Begin(created)
		return bus.Start{Seq: info.First}, nil
	case created != p.Created:
		return o.another(created, info), nil
	case o.fold.Torn():
		return o.torn, nil
	case p.Seq == 0:
		return bus.Start{Seq: info.First}, nil
	default:
		return o.resume(ctx, p, info)
	}
}

// stream describes the stream, and makes it when it is gone.
func (o *owner) stream(ctx context.Context) (bus.StreamInfo, error) {
	info, err := o.Stream.Info(ctx, o.Partition)
	if !errors.Is(err, bus.ErrNoStream) {
		return info, err
	}
	if err := o.Stream.EnsureStreams(ctx, o.Partition, o.Limits); err != nil {
		return info, err
	}
	return o.Stream.Info(ctx, o.Partition)
}

// another goes on in a stream that was created at another time. A newer one is read from its first message: all of it
// was published after the one folded so far was lost. An older one, that came back, was folded before: what follows
// the last folded stamp is new in it.
func (o *owner) another(created node.Stamp, info bus.StreamInfo) bus.Start {
	o.Log.Warn().Time("created", info.Created).Msg("the stream is another one, deleted or made anew: a new epoch begins, and the time until its first message counts as blind")
	p := o.fold.Position()
	if created < p.Created {
		return o.tear(created, bus.Start{Time: (p.Stamp + 1).Time()})
	}
	return o.tear(created, bus.Start{Seq: info.First})
}

// resume goes on behind the position. When its message was discarded, everything there is is later, whatever its stamps
// say: the clock may have stepped back. When it is not ours, what is new begins at the first later stamp.
func (o *owner) resume(ctx context.Context, p node.Position, info bus.StreamInfo) (bus.Start, error) {
	stamp, err := o.Stream.StampAt(ctx, o.Partition, p.Seq)
	switch {
	case err == nil && node.Stamp(stamp.UnixNano()) == p.Stamp:
		return bus.Start{Seq: p.Seq + 1}, nil
	case err != nil && !errors.Is(err, bus.ErrNoMessage):
		return bus.Start{}, fmt.Errorf("verify the position: %w", err)
	case err != nil && p.Seq >= info.First && o.unsettled(info):
		return bus.Start{}, fmt.Errorf("verify the position: %w: message %d was folded, and is not in the stream, which ends at %d: %w",
			bus.ErrUnavailable, p.Seq, info.Last, errUnsettled)
	}
	o.Log.Warn().Uint64("seq", p.Seq).Time("stamp", p.Stamp.Time()).Uint64("first", info.First).Uint64("last", info.Last).
		Msg("the stream does not hold the last folded message, it is an older copy or has discarded it: a new epoch begins, and the time until the next message counts as blind")
	if err != nil && p.Seq < info.First {
		o.discarded(info.First - p.Seq - 1)
		return o.tear(p.Created, bus.Start{Seq: info.First}), nil
	}
	return o.tear(p.Created, bus.Start{Time: (p.Stamp + 1).Time()}), nil
}

// unsettled reports whether it is too early to believe that a replicated stream lacks the message at the position. After
// an election, or a restart of several servers, one may answer that has not read all of it yet, and a leader that is cut
// off from the others answers as if nothing had been stored since, until it notices: nats-server 2.15 takes up to 20 s
// (lostQuorumInterval and lostQuorumCheckInterval). Where the stream ends may come from another server than the message.
func (o *owner) unsettled(info bus.StreamInfo) bool {
	if info.Replicas < 2 {
		return false
	}
	if o.missing.IsZero() {
		o.missing = o.Now()
	}
	return o.Now().Sub(o.missing) < o.Pace.Settle
}

// tear begins a new epoch, unless one has begun already and no message was folded since.
func (o *owner) tear(created node.Stamp, start bus.Start) bus.Start {
	if o.fold.Torn() {
		o.fold.Begin(created)
	} else {
		o.fold.Tear(created)
		o.metrics.epochs.Inc()
	}
	o.torn = start
	return start
}
