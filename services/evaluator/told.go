package evaluator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// checkStalled tells people, once, that no batch reaches the evaluator: no pulse means that nobody can be heard.
func (o *owner) checkStalled(ctx context.Context) error {
	o.listen()
	if o.silence < o.Pace.Stalled {
		return nil
	}
	o.broken(partStream, fmt.Errorf("nothing comes from any ingest for %v: are ingest and NATS running?", o.Pace.Stalled))
	if o.stalled {
		return nil
	}
	recorded, err := o.record(ctx, stalledEvent(o.Partition, o.committed, o.Now(), o.silence))
	o.stalled = recorded
	return err
}

// tellOutdated tells people, once for each message, that this evaluator is too old to go on.
func (o *owner) tellOutdated(ctx context.Context, why error) error {
	_, err := o.record(ctx, outdatedEvent(o.Partition, o.committed, o.Now(), why))
	return err
}

// record stores an event that no message brought, and announces it unless it was told before: the one stored then has
// other times. Its error is ErrFenced, or none.
func (o *owner) record(ctx context.Context, e node.Event) (recorded bool, err error) {
	call, cancel := context.WithTimeout(ctx, o.Pace.CallLimit)
	defer cancel()
	added, err := o.Store.Record(call, o.lease, e)
	switch {
	case err == nil && added:
		o.say(announcement{Event: e})
	case errors.Is(err, nodestore.ErrFenced):
		return false, err
	}
	return err == nil, nil
}

// The ordinals put these events behind all that the message at their position made.
const (
	stalledOrdinal = 1 << 20
	// An evaluator that is outdated gives up its lease, so that nothing is told behind it until it is updated.
	outdatedOrdinal = stalledOrdinal + 1
)

// ownID: such events stand at the committed position: readers go through events in their order, and the fold's own may be one
// that will never be committed.
func ownID(partition int, committed node.Position, ordinal int) node.EventID {
	return node.EventID{Epoch: committed.Epoch, Partition: partition, Seq: committed.Seq, Ordinal: ordinal}
}

func stalledEvent(partition int, committed node.Position, now time.Time, silence time.Duration) node.Event {
	return node.Event{
		ID:   ownID(partition, committed, stalledOrdinal),
		Kind: node.Stalled, At: node.Stamp(now.UnixNano()), Since: node.Stamp(now.Add(-silence).UnixNano()), Lasted: silence,
	}
}

func outdatedEvent(partition int, committed node.Position, now time.Time, why error) node.Event {
	return node.Event{
		ID:   ownID(partition, committed, outdatedOrdinal),
		Kind: node.Outdated, At: node.Stamp(now.UnixNano()), Evidence: why.Error(),
	}
}
